"""One phase as a bash script of the stages' own commands, for a machine without DVC."""

import shutil
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

from studies import clones
from studies.saturation import phases
from studies.saturation.phases import LEVELS

OUTS = ("--out", "--log", "--queries", "--results", "--pairs", "--metrics")


def commands(part: str, phase: str) -> list[str]:
    """The commands of a phase's stages in the order in which DVC would run them, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("dvc.yaml", folder)
        (Path(folder) / "params.yaml").write_text(phases.text(part, phase))
        for words in (["init", "-q", "--no-scm"], ["repro", "--dry", "-f", *phases.targets(part, phase)]):
            done = subprocess.run(
                [*clones.DVC, *words], cwd=folder, env=clones.environment(1), check=True, capture_output=True, text=True
            )
    lines = [line.removeprefix("> ") for line in done.stdout.splitlines() if line.startswith("> ")]
    return [line for line in lines if "stages.code " not in line]  # fingerprints are for DVC alone


def script(part: str, phase: str, lines: list[str]) -> str:
    """Commands as one script with the phase's params.yaml; commands of one wave may run at the same time."""
    parts = [
        "#!/bin/bash",
        f"# {part}, {phase}: python -m studies.saturation commands --help",
        "set -euo pipefail",
        "[ ! -e dvc.yaml ] || { echo 'run this in a folder of its own: it writes params.yaml'; exit 1; }",
        "all() { xargs -d '\\n' -r -n 1 -P \"${JOBS:-1}\" bash -c; }",
        "cat > params.yaml <<'END'",
        phases.text(part, phase).rstrip("\n"),
        "END",
    ]
    for wave in waves(lines):
        parts += ["all <<'END'", *(_unless_made(line) for line in wave), "END"]
    if phase == "levels":
        parts += [f"mkdir -p {LEVELS}", *(_kept(level, model) for level, model in phases.models(part).items())]
    return "\n".join(parts) + "\n"


def waves(lines: list[str]) -> list[list[str]]:
    """Commands in groups, sorted: each reads what earlier groups wrote, nothing of its own. The first stands alone."""
    groups: list[list[str]] = []
    made: dict[str, int] = {}
    for line in lines:
        words = line.split()
        outs = _outs(words)
        reads = {word for word in words if word.startswith(("data/", "reports/"))} - set(outs)
        after = [1 + wave for out, wave in made.items() if any(_overlap(out, path) for path in reads)]
        at = max(after, default=min(len(groups), 1))
        groups += [[]] * (at == len(groups))
        groups[at] = [*groups[at], line]
        made |= dict.fromkeys(outs, at)
    return [sorted(wave) for wave in groups]


def _outs(words: list[str]) -> list[str]:
    return [path for option, path in pairwise(words) if option in OUTS]


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _unless_made(line: str) -> str:
    """A command that is left out where its output is there; the last stage's file is there from the phase before."""
    outs = _outs(line.split())
    return line if "stages.evaluate" in line else f"[ -e {outs[0]} ] || {line}"


def _kept(level: str, model: Path) -> str:
    """Copy a level's model to where the next phase looks for it, whole or not at all."""
    target = LEVELS / level
    return f"[ -e {target} ] || {{ rm -rf {target}.part && cp -r {model} {target}.part && mv {target}.part {target}; }}"
