"""The gate between two real commits of a small repository with planted values, and the script that CI runs."""
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import gate
from tests.conftest import ROOT, run

ROWS = {"base": {"start": "minilm", "tuning": "none", "triplets": "none", "recipe": "none"},
        "full-hard": {"start": "minilm", "tuning": "full", "triplets": "hard", "recipe": "printed"},
        "lora-hard": {"start": "minilm", "tuning": "lora", "triplets": "hard", "recipe": "printed"}}
QUERIES = 600


def planted(rows=ROWS, queries: int = QUERIES, copies=("seed-13",)) -> dict[str, list]:
    """Ranks 1 to 5 in turn, the same for every row and copy; two queries a cluster."""
    lines = [(row, copy, at) for row in rows for copy in copies for at in range(queries)]
    ranks = [1 + at % 5 for _, _, at in lines]
    return {"variant": [row for row, _, _ in lines], "seed_run": [copy for _, copy, _ in lines],
            "corpus": ["in_domain"] * len(lines), "split": ["test"] * len(lines),
            "query_id": [f"q{at}" for _, _, at in lines], "cluster": [f"c{at // 2}" for _, _, at in lines],
            "rank": ranks, "RR@10": [1 / rank for rank in ranks]}


def worsened(table: dict, row: str, share: float, rank: int) -> dict:
    """The same table with the first relevant passage at `rank` in the first `share` of the row's queries."""
    queries = len(set(table["query_id"]))
    hit = [name == row and int(query[1:]) < share * queries for name, query in zip(table["variant"], table["query_id"])]
    ranks = [rank if flag else old for flag, old in zip(hit, table["rank"])]
    return table | {"rank": ranks, "RR@10": [1 / rank for rank in ranks]}


def write(folder: Path, table: dict, rows=ROWS) -> None:
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["interpolations"] = {}
    blocks["retrievers"] = {"bm25": blocks["retrievers"]["bm25"], **rows}
    blocks["report"] |= {"base": "base", "primary": {"corpus": "in_domain", "split": "test", "measure": "RR@10"},
                         "alpha": 0.05, "resamples": 1000}
    blocks["gate"] = {"tolerance": 1.0}
    (folder / "reports").mkdir(exist_ok=True)
    with open(folder / "params.yaml", "w") as handle:
        YAML().dump(blocks, handle)
    columns = {name: pa.array(values) for name, values in table.items()}
    pq.write_table(pa.table({name: values.dictionary_encode() if name in ("variant", "seed_run", "cluster") else values
                             for name, values in columns.items()}), folder / "reports/queries.parquet")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """One commit without values, then one with three rows that are alike."""
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    run("git commit -qm empty --allow-empty && git tag empty", tmp_path)
    write(tmp_path, planted())
    run("git add -A && git commit -qm values", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(*words: str):
    return CliRunner().invoke(gate.main, words or ["HEAD"])


def line_of(summary: str, row: str) -> list[str]:
    return next([cell.strip() for cell in line.split("|")[2:-1]] for line in summary.splitlines()
                if line.startswith(f"| {row} |"))


def test_nothing_changed(repository):
    done = judged("HEAD", "--out", "out/summary.md")
    assert done.exit_code == 0 and done.stdout.startswith("**No row fell** on RR@10 in_domain test")
    assert {line_of(done.stdout, row)[-1] for row in ROWS} == {"unchanged"} and "\n- " not in done.stdout
    assert Path("out/summary.md").read_text() == done.stdout


def test_a_row_that_fell_is_named_with_sign_and_size(repository):
    drop = worsened(planted(), "full-hard", 0.1, 10)
    write(repository, drop)
    done = judged()
    before, now = np.mean(planted()["RR@10"]), np.mean(drop["RR@10"][QUERIES:2 * QUERIES])
    size = 100 * (now / before - 1)
    assert done.exit_code == 1 and "**1 of 3 rows fell** on RR@10 in_domain test since" in done.stdout
    assert f"full-hard by {-size:.1f} %" in done.stdout.splitlines()[0]
    told = line_of(done.stdout, "full-hard")
    assert told[:3] == [f"{before:.4f}", f"{now:.4f}", f"{size:+.1f}"] and told[-2:] == ["0 / 60 / 540", "**fell**"]
    low, high = map(float, told[3].split(" to "))
    assert low < size < high < 0 and float(told[4]) < 0.05
    assert done.stdout.count("- `q") == 5 and "- `q0`: 1 -> 10 (-0.9000)" in done.stdout and "base" not in "".join(
        line for line in done.stdout.splitlines() if line.startswith("- "))
    write(repository, worsened(planted(), "base", 0.1, 10))
    assert "- The base `base` fell itself" in judged().stdout


def test_twelve_queries_cannot_tell_the_same_drop(repository):
    write(repository, planted(queries=12))
    run("git commit -qam few", repository)
    write(repository, worsened(planted(queries=12), "full-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 0 and line_of(done.stdout, "full-hard")[-1] == "cannot tell"
    assert done.stdout.splitlines()[0].endswith("of full-hard the queries cannot tell.")


def test_a_row_that_had_nothing_has_no_per_cent(repository):
    nothing = planted() | {"rank": [0] * 3 * QUERIES, "RR@10": [0.0] * 3 * QUERIES}
    write(repository, nothing)
    run("git commit -qam nothing", repository)
    found = [float(row == "full-hard") for row in nothing["variant"]]
    write(repository, nothing | {"rank": list(map(int, found)), "RR@10": found})
    told = line_of(judged().stdout, "full-hard")
    assert told[:4] == ["0.0000", "1.0000", "–", "–"] and told[-1] == "better"


def test_rows_that_changed_are_judged_as_one_family(repository):
    """Six clusters that all lose have p = 2 / 2^6: enough for one row that changed alone, not for one of three."""
    alone = worsened(planted(), "full-hard", 0.02, 10)
    write(repository, alone)
    assert judged().exit_code == 1
    together = alone
    for row in ROWS:
        together = worsened(together, row, 0.02, 10)
    write(repository, together)
    done = judged()
    told = line_of(done.stdout, "full-hard")
    assert done.exit_code == 0 and 0.05 < float(told[4]) < 0.15 and told[-2:] == ["0 / 12 / 588", "cannot tell"]


def test_a_sure_drop_within_tolerance_passes_and_gains_do(repository):
    table = planted()
    for at in range(QUERIES, 2 * QUERIES):
        table["RR@10"][at] -= 0.001
        table["RR@10"][at + QUERIES] += 0.01
    write(repository, table)
    done = judged()
    assert done.exit_code == 0 and line_of(done.stdout, "full-hard")[-1] == "worse within tolerance"
    assert line_of(done.stdout, "lora-hard")[-1] == "better"


def test_a_renamed_row_is_still_compared(repository):
    rows = {"base": ROWS["base"], "slow": ROWS["full-hard"], "lora-hard": ROWS["lora-hard"]}
    write(repository, worsened(planted(rows), "slow", 0.1, 10), rows)
    done = judged()
    assert done.exit_code == 1 and "slow by" in done.stdout and "`slow` was called `full-hard`" in done.stdout


def test_rows_gone_and_new_are_listed(repository):
    rows = {"base": ROWS["base"], "full-hard": ROWS["full-hard"], "extra": {**ROWS["lora-hard"], "recipe": "coded"}}
    write(repository, planted(rows), rows)
    done = judged()
    assert done.exit_code == 0 and "of 2 compared" in done.stdout
    assert "Gone, so not compared: `lora-hard`." in done.stdout and "New, so not compared: `extra`." in done.stdout


def test_an_earlier_form_and_other_queries(repository):
    old = planted()
    del old["cluster"], old["rank"]
    write(repository, old)
    (repository / "params.yaml").write_text("retrievers: [an, older, form]\nreport: {primary: {split: dev}}\n")
    run("git commit -qam old", repository)
    write(repository, worsened(planted(queries=QUERIES - 100), "full-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 1 and "500 queries are compared: 0 more are only in the workspace, 100 only" in done.stdout
    assert "in 250 clusters" in done.stdout and "- `q0`: – -> 10" in done.stdout
    assert "`report.in_domain` is in_domain test RR@10 and was dev at" in done.stdout


def test_seeds_are_judged_together(repository):
    write(repository, planted(copies=("seed-13", "seed-14")))
    run("git commit -qam seeds", repository)
    write(repository, worsened(planted(copies=("seed-13", "seed-14")), "lora-hard", 0.1, 10))
    done = judged()
    assert done.exit_code == 1 and "- `q0`: 1 / 1 -> 10 / 10" in done.stdout and "One seed" not in done.stdout
    write(repository, planted())
    assert "those that both have are compared: `base`, `full-hard`, `lora-hard`." in judged().stdout


@pytest.mark.parametrize("revision, change, told", [
    ("nowhere", None, "nowhere: git knows no such revision"),
    ("empty", None, "empty: params.yaml is not committed there"),
    ("bare", None, "bare: reports/queries.parquet is not committed there"),
    ("HEAD", {"corpus": "out_of_domain"}, "reports/queries.parquet: has no queries of in_domain test; there are: out_of_domain test"),
    ("HEAD", {"query_id": "z"}, "has no query of row 'base' in common"),
    ("HEAD", {"variant": "lora-soft"}, "none of its rows (base, full-hard, lora-hard) is still there"),
])
def test_what_cannot_be_compared_is_said_in_one_line(revision, change, told, repository):
    run("git rm -q --cached reports/queries.parquet && git commit -qm bare && git tag bare && git reset -q HEAD~1",
        repository)
    if change:
        table = planted(["full-hard"] if "variant" in change else ROWS)
        name, value = next(iter(change.items()))
        write(repository, table | {name: [f"{value}{old}" if value == "z" else value for old in table[name]]})
    done = judged(revision)
    assert done.exit_code == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1 and not done.stdout


def test_params_that_cannot_be_read_are_no_fall(repository):
    (repository / "params.yaml").write_text("seeds: [")
    done = judged()
    assert done.exit_code == 2 and "params.yaml: not valid YAML" in done.stderr


def test_the_script_that_ci_runs(repository):
    """On a pipeline of one stage: fresh, with a fallen row, with a stale lock, and with nothing to compare."""
    run(f"mkdir .github && cp {ROOT}/.github/compare.sh .github", repository)
    (repository / "dvc.yaml").write_text("stages:\n  copy:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n"
                                         "    outs: [out.txt]\n")
    (repository / "in.txt").write_text("1\n")
    run("dvc init -q && dvc repro && git add -A && git commit -qm pipeline", repository)
    run("rm -r out.txt .dvc/cache", repository)

    def compare(base="HEAD"):
        (repository / "out.md").unlink(missing_ok=True)
        return run(f"PYTHONPATH={ROOT} .github/compare.sh {base} out.md https://x/raw", repository, check=False)
    done, said = compare(), (repository / "out.md").read_text
    assert done.returncode == 0 and "**No row fell**" in said() and "No metric differs." in said()
    assert compare("nowhere").returncode == 2 and "git knows no such revision" in said()
    (repository / "reports/figures").mkdir()
    (repository / "reports/figures/degradation.png").touch()
    write(repository, worsened(planted(), "full-hard", 0.1, 10))
    assert compare().returncode == 1 and "(https://x/raw/reports/figures/degradation.png)" in said()
    (repository / "in.txt").write_text("2\n")
    done = compare()
    assert done.returncode == 3 and "stage copy would run again" in done.stderr
    assert "**Stale:** dvc.lock" in said() and "**1 of 3 rows fell**" in said()


def test_the_workflow_calls_the_script_and_asks_for_little():
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/compare.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    steps = workflow["jobs"]["compare"]["steps"]
    assert any(".github/compare.sh" in step.get("run", "") for step in steps) and "exit" in steps[-1]["run"]
    assert shutil.which("bash") and not run(f"bash -n {ROOT}/.github/compare.sh", ROOT).stderr
