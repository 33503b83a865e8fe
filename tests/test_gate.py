"""The gate between two real commits of a small repository with planted values, and the script that CI runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from stages import gate
from tests.conftest import ROOT, run
from tests.plants import (  # noqa: F401 (repository is a fixture)
    QUERIES,
    VARIANTS,
    blocks,
    per_query,
    repository,
    worsened,
    write_state,
    write_table,
)


def judged(*words: str) -> Result:
    return CliRunner().invoke(gate.main, words or ["HEAD"])


def cells(summary: str, variant: str) -> list[str]:
    """A variant's cells in the summary's table, without its name."""
    line = next(line for line in summary.splitlines() if line.startswith(f"| {variant} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_nothing_changed(repository):  # noqa: F811
    done = judged("HEAD", "--out", "out/summary.md")
    assert done.exit_code == 0 and done.stdout.startswith("**No variant got worse** on RR@10 in_domain test")
    assert {cells(done.stdout, variant)[-1] for variant in VARIANTS} == {"unchanged"} and "\n- " not in done.stdout
    assert Path("out/summary.md").read_text() == done.stdout


def test_a_variant_that_got_worse_is_named_with_sign_and_size(repository):  # noqa: F811
    drop = worsened(per_query(), "full-hard", 0.1, 10)
    write_state(repository, drop)
    done = judged()
    before, now = np.mean(per_query()["RR@10"]), np.mean(drop["RR@10"][QUERIES : 2 * QUERIES])
    size = 100 * (now / before - 1)
    assert done.exit_code == 1 and "**1 of 3 variants got worse** on RR@10 in_domain test since" in done.stdout
    assert f"full-hard by {-size:.1f} %" in done.stdout.splitlines()[0]
    line = cells(done.stdout, "full-hard")
    assert line[:3] == [f"{before:.4f}", f"{now:.4f}", f"{size:+.1f}"] and line[-2:] == [
        "0 / 60 / 540",
        "**got worse**",
    ]
    low, high = map(float, line[3].split(" to "))
    assert low < size < high < 0 and float(line[4]) < 0.05
    items = [line for line in done.stdout.splitlines() if line.startswith("- ")]
    assert len(items) == 5 and items[0] == "- `q0`: 1 -> 10 (-0.9000)"
    write_state(repository, worsened(per_query(), "base", 0.1, 10))
    assert "- The base `base` got worse itself" in judged().stdout


def test_twelve_queries_cannot_tell_the_same_drop(repository):  # noqa: F811
    write_state(repository, per_query(queries=12))
    run("git commit -qam few", repository)
    write_state(repository, worsened(per_query(queries=12), "full-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 0 and cells(done.stdout, "full-hard")[-1] == "cannot tell"
    assert done.stdout.splitlines()[0].endswith("The queries cannot tell about full-hard.")


def test_a_variant_that_had_nothing_has_no_per_cent(repository):  # noqa: F811
    nothing = per_query() | {"rank": [0] * 3 * QUERIES, "RR@10": [0.0] * 3 * QUERIES}
    write_state(repository, nothing)
    run("git commit -qam nothing", repository)
    ranks = [int(variant == "full-hard") for variant in nothing["variant"]]
    write_state(repository, nothing | {"rank": ranks, "RR@10": list(map(float, ranks))})
    line = cells(judged().stdout, "full-hard")
    assert line[:4] == ["0.0000", "1.0000", "–", "–"] and line[-1] == "better"


def test_variants_that_changed_are_judged_as_one_family(repository):  # noqa: F811
    """Six clusters that all lose have p = 2 / 2^6: enough for a variant that changed alone, not for one of three."""
    alone = worsened(per_query(), "full-hard", 0.02, 10)
    write_state(repository, alone)
    assert judged().exit_code == 1
    together = alone
    for variant in VARIANTS:
        together = worsened(together, variant, 0.02, 10)
    write_state(repository, together)
    done = judged()
    line = cells(done.stdout, "full-hard")
    assert done.exit_code == 0 and 0.05 < float(line[4]) < 0.15 and line[-2:] == ["0 / 12 / 588", "cannot tell"]


def test_a_sure_drop_within_tolerance_passes_and_gains_do(repository):  # noqa: F811
    table = per_query()
    for at in range(QUERIES, 2 * QUERIES):
        table["RR@10"][at] -= 0.001
        table["RR@10"][at + QUERIES] += 0.01
    write_state(repository, table)
    done = judged()
    assert done.exit_code == 0 and cells(done.stdout, "full-hard")[-1] == "worse within tolerance"
    assert cells(done.stdout, "lora-hard")[-1] == "better"


def test_a_renamed_variant_is_still_compared(repository):  # noqa: F811
    variants = {"base": VARIANTS["base"], "slow": VARIANTS["full-hard"], "lora-hard": VARIANTS["lora-hard"]}
    write_state(repository, worsened(per_query(variants), "slow", 0.1, 10), variants)
    done = judged()
    assert done.exit_code == 1 and "slow by" in done.stdout
    assert "- `slow` was called `full-hard`: the recipe is the same." in done.stdout


def test_variants_that_are_gone_or_new_are_listed(repository):  # noqa: F811
    extra = {**VARIANTS["lora-hard"], "recipe": "coded"}
    variants = {"base": VARIANTS["base"], "full-hard": VARIANTS["full-hard"], "extra": extra}
    write_state(repository, per_query(variants), variants)
    done = judged()
    assert done.exit_code == 0 and "of 2 compared" in done.stdout
    assert "Gone, so not compared: `lora-hard`." in done.stdout and "New, so not compared: `extra`." in done.stdout


def test_a_table_without_clusters_and_ranks_and_other_queries(repository):  # noqa: F811
    old = per_query()
    del old["cluster"], old["rank"]
    write_state(repository, old)
    (repository / "params.yaml").write_text("retrievers: [of, another, form]\nreport: {in_domain: {split: dev}}\n")
    run("git commit -qam old", repository)
    write_state(repository, worsened(per_query(queries=QUERIES - 100), "full-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 1 and "500 queries are compared: 0 more are only in the workspace, 100 only" in done.stdout
    assert "in 250 clusters" in done.stdout and "- `q0`: – -> 10" in done.stdout
    assert "`report.in_domain` is in_domain test RR@10 and was dev at" in done.stdout


@pytest.fixture
def under_old_names(repository) -> Path:  # noqa: F811
    """The repository with one more commit, as it was before keys, columns and corpora had the names of today."""
    table = per_query(["base", "full-hard", "lora-hard"])
    table["seed_run"] = ["untrained" if name == "base" else "seed-13" for name in table["variant"]]
    table["corpus"] = ["home"] * len(table["corpus"])
    old = {"row": table.pop("variant"), "copy": table.pop("seed_run"), **table}
    write_table(repository / "reports/queries.parquet", old)
    keys = {"checkpoint": "start", "tuning": "tune", "recipe": "fit"}
    known = {
        "corpora": {"home": blocks()["corpora"]["in_domain"], "away": blocks()["corpora"]["out_of_domain"]},
        "retrievers": {
            name: {keys.get(key, key): value for key, value in block.items()} for name, block in VARIANTS.items()
        },
        "report": {"base": "base", "primary": {"corpus": "home", "split": "test", "measure": "RR@10"}, "alpha": 0.05},
        "gate": {"tolerance": 1.0},
    }
    with open(repository / "params.yaml", "w") as handle:
        YAML().dump(known, handle)
    run("git commit -qam 'old names'", repository)
    return repository


def test_a_revision_under_old_names_is_compared_with_today(under_old_names):
    variants = {"base": VARIANTS["base"], "slow": VARIANTS["full-hard"], "lora-hard": VARIANTS["lora-hard"]}
    table = worsened(per_query(variants), "slow", 0.1, 10)
    table["seed_run"] = ["pretrained" if name == "base" else "seed-13" for name in table["variant"]]
    write_state(under_old_names, table, variants)
    done = judged()
    assert done.exit_code == 1 and "1 of 3 variants got worse" in done.stdout and "slow by" in done.stdout
    items = [line for line in done.stdout.splitlines() if line.startswith("- `") and "->" not in line]
    assert items == [
        "- `in_domain` was called `home`: the source is the same.",
        "- `slow` was called `full-hard`: the recipe is the same.",
    ]


def test_a_corpus_of_another_name_and_source_is_one_line(under_old_names):
    write_state(under_old_names, per_query())
    known = YAML(typ="safe").load((under_old_names / "params.yaml").read_text())
    known["corpora"]["in_domain"]["source"] = "docstrings:numpy"
    with open(under_old_names / "params.yaml", "w") as handle:
        YAML().dump(known, handle)
    done = judged()
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "HEAD:reports/queries.parquet: has no queries of in_domain test; there are: home test" in done.stderr


def test_seeds_are_judged_together(repository):  # noqa: F811
    write_state(repository, per_query(seed_runs=("seed-13", "seed-14")))
    run("git commit -qam seeds", repository)
    write_state(repository, worsened(per_query(seed_runs=("seed-13", "seed-14")), "lora-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 1 and "- `q0`: 1 / 1 -> 10 / 10" in done.stdout and "one seed" not in done.stdout
    write_state(repository, per_query())
    assert "that both sides have: `base`, `full-hard`, `lora-hard`." in judged().stdout


@pytest.mark.parametrize(
    "revision, change, message",
    [
        ("nowhere", None, "nowhere: git knows no such revision"),
        ("empty", None, "empty: params.yaml is not committed there"),
        ("bare", None, "bare: reports/queries.parquet is not committed there"),
        ("HEAD", {"corpus": "out_of_domain"}, "has no queries of in_domain test; there are: out_of_domain test"),
        ("HEAD", {"query_id": "z"}, "has no query of variant 'base' in common"),
        ("HEAD", {"variant": "lora-soft"}, "none of its variants (base, full-hard, lora-hard) is still there"),
    ],
)
def test_what_cannot_be_compared_is_one_line(revision, change, message, repository):  # noqa: F811
    run(
        "git rm -q --cached reports/queries.parquet && git commit -qm bare && git tag bare && git reset -q HEAD~1",
        repository,
    )
    if change:
        table = per_query(["full-hard"] if "variant" in change else VARIANTS)
        name, value = next(iter(change.items()))
        changed = [f"{value}{old}" if value == "z" else value for old in table[name]]
        write_state(repository, table | {name: changed})
    done = judged(revision)
    assert done.exit_code == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1 and not done.stdout


def test_params_that_cannot_be_read_are_no_regression(repository):  # noqa: F811
    (repository / "params.yaml").write_text("seeds: [")
    done = judged()
    assert done.exit_code == 2 and "params.yaml: not valid YAML" in done.stderr


def test_the_script_that_ci_runs(repository):  # noqa: F811
    """On a pipeline of one stage: fresh, with a worse variant, with a stale lock, and with nothing to compare."""
    run(f"mkdir .github && cp {ROOT}/.github/compare.sh .github", repository)
    (repository / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n"
    )
    (repository / "in.txt").write_text("1\n")
    run("dvc init -q && dvc repro && git add -A && git commit -qm pipeline", repository)
    run("rm -r out.txt .dvc/cache", repository)

    def compare(base="HEAD"):
        (repository / "out.md").unlink(missing_ok=True)
        return run(f"PYTHONPATH={ROOT} .github/compare.sh {base} out.md https://x/raw", repository, check=False)

    done, summary = compare(), (repository / "out.md").read_text
    assert done.returncode == 0 and "**No variant got worse**" in summary() and "No metric differs." in summary()
    assert compare("nowhere").returncode == 2 and "git knows no such revision" in summary()
    (repository / "reports/figures").mkdir()
    (repository / "reports/figures/degradation.png").touch()
    write_state(repository, worsened(per_query(), "full-hard", 0.1, 10))
    assert compare().returncode == 1 and "(https://x/raw/reports/figures/degradation.png)" in summary()
    (repository / "in.txt").write_text("2\n")
    done = compare()
    assert done.returncode == 3 and "stage copy would run again" in done.stderr
    assert "**Stale:** dvc.lock" in summary() and "**1 of 3 variants got worse**" in summary()


def test_the_workflow_calls_the_script_and_asks_for_little():
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/compare.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    steps = workflow["jobs"]["compare"]["steps"]
    assert any(".github/compare.sh" in step.get("run", "") for step in steps) and "exit" in steps[-1]["run"]
    assert shutil.which("bash") and not run(f"bash -n {ROOT}/.github/compare.sh", ROOT).stderr
