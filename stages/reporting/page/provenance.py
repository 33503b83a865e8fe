"""Where a number comes from: what dvc.lock records of the files behind it, and what git says of the code."""
import subprocess
from pathlib import Path


def recorded(lock: Path) -> dict[str, dict]:
    """The stages of a dvc.lock by name; none where there is no such file."""
    from ruamel.yaml import YAML
    if not lock.is_file():
        return {}
    return (YAML(typ="safe").load(lock.read_text()) or {}).get("stages", {})


def lineage(stages: dict[str, dict], paths: list[str]) -> list[str]:
    """The names of the stages that made the files or folders at `paths`, directly or through other stages; sorted."""
    found, wanted = set(), set(paths)
    while wanted:
        path = wanted.pop()
        for name, stage in stages.items():
            if name not in found and any(_same(out["path"], path) for out in stage.get("outs", [])):
                found.add(name)
                wanted |= {dep["path"] for dep in stage.get("deps", [])}
    return sorted(found)


def code(stages: dict[str, dict], names: list[str]) -> list[str]:
    """The source files that the named stages depend on, and params.yaml; sorted."""
    return sorted({dep["path"] for name in names for dep in stages[name].get("deps", [])
                   if dep["path"].startswith("stages/")} | {"params.yaml"})


def commit(paths: list[str], root: Path) -> dict:
    """{"commit", "says"}: the last commit that changed any of `paths`, None where git or a repository is missing."""
    try:
        last = _git(root, "log", "-1", "--format=%H", "--", *paths)
        changed = _git(root, "status", "--porcelain", "--", *paths)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {"commit": None, "says": "no git here"}
    return {"commit": last or None,
            "says": (last or "in no commit yet") + (" with uncommitted changes" if changed else "")}


def files(entries: list[dict]) -> list[dict]:
    """Deps or outs of a stage without its source code, as {"path", "hash"}."""
    return [{"path": entry["path"], "hash": entry.get("md5")} for entry in entries
            if not entry["path"].endswith(".py")]


def stage(stages: dict[str, dict], name: str, shows: str) -> dict:
    """A stage as a line of the page: what it `shows` there, the command that makes it, what it read and wrote."""
    known = stages.get(name)
    return {"shows": shows, "stage": name, "command": f"dvc repro {name}", "known": known is not None,
            "reads": files((known or {}).get("deps", [])), "writes": files((known or {}).get("outs", []))}


def maker(stages: dict[str, dict], path: str) -> str | None:
    """The stage whose output is at `path`, or holds it; None where no stage of the lock has one."""
    return next((name for name, stage in stages.items() for out in stage.get("outs", [])
                 if path == out["path"] or path.startswith(out["path"] + "/")), None)


def output(stages: dict[str, dict], name: str | None, path: Path) -> dict:
    """{"hash", "state"} of the first output of a stage, which lies at `path`.

    state is "as recorded" where the files there have the number and total size that dvc.lock says, else "changed
    since", or "not here"; hash is None where the lock has no such stage.
    """
    out = next(iter(stages.get(name, {}).get("outs", [])), None)
    if out is None:
        return {"hash": None, "state": "not in dvc.lock"}
    if not path.exists():
        return {"hash": out["md5"], "state": "not here"}
    here = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    same = (sum(file.stat().st_size for file in here), len(here)) == (out["size"], out.get("nfiles", 1))
    return {"hash": out["md5"], "state": "as recorded" if same else "changed since"}


def numbers(stages: dict[str, dict], entries: list[dict], runs: Path, models: Path, corpora: Path) -> list[dict]:
    """One line for each results entry: its value, the command that makes it, and the run, model and data behind it."""
    lines = []
    for entry in entries:
        row, corpus = entry["variant"], entry["corpus"]
        search = maker(stages, f"data/runs/{row}/{corpus}") or f"search@{row}-{corpus}"
        lines.append({"link": f"from-{row}-{corpus}-{entry['split']}-{entry['measure']}", "variant": row,
                      "corpus": corpus, "split": entry["split"], "measure": entry["measure"],
                      "value": f"{entry['value']:.4f}", "command": f"dvc repro {search} evaluate",
                      "run": output(stages, search, runs / row if search.startswith("rerank@") else
                                    runs / row / corpus),
                      "model": output(stages, maker(stages, f"data/models/{row}"), models / row),
                      "data": output(stages, f"download@{corpus}", corpora / corpus)})
    return lines


def _same(one: str, other: str) -> bool:
    """Whether two paths are one, or one holds the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
