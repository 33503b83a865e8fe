"""README and docs held to the project: links, commands, keys, paths, figures. `make readme` fills what is generated."""

import importlib
import json
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import click
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from docs import fill
from stages import params
from stages.core.errors import UserError
from tests.conftest import ROOT

COMMITTED = subprocess.check_output(["git", "show", "HEAD:params.yaml"], cwd=ROOT, text=True)  # what pages speak of
README = (ROOT / "README.md").read_text()
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in fill.pages()}
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
LOG = re.compile(r"\| date \| commit \| machine \| verdict \|\n\|[-|]+\|\n((?:\|.*\|\n)*)")


@pytest.fixture
def committed_study():
    """The figures in these pages are those of the committed params.yaml: a user may have another one."""
    if subprocess.check_output(["git", "status", "--porcelain", "params.yaml"], cwd=ROOT):
        pytest.skip("params.yaml is not the committed one; make readme puts its figures into the pages")


def test_a_newcomer_reads_it_once_and_finds_both_commands_first():
    lines = README.splitlines()
    assert len(lines) <= 250
    assert {"make reproduce", "make test"} <= {line.partition("#")[0].strip() for line in lines[:30]}


def test_tables_fit_the_page():
    heads = [line for line in README.splitlines() if re.fullmatch(r"\|( ?:?-+:? ?\|)+", line)]
    assert heads and max(line.count("|") - 1 for line in heads) <= 7


@pytest.mark.parametrize("page", PAGES)
def test_generated_blocks_are_fresh(page, committed_study):
    assert fill.filled(PAGES[page]) == PAGES[page], f"{page} is stale: make readme"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in LINK.findall(PAGES[page]):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                target
            )


def code_spans(text: str) -> list[str]:
    """What is in backticks within a line."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "data")
    for span in code_spans(PAGES[page]):
        if re.fullmatch(rf"(?:{folders})/[\w./-]+|[\w-]+\.(?:md|lock|toml|cff)", span) and "cause-1-2-3" not in span:
            assert (ROOT / span).exists() or (ROOT / page).parent.joinpath(span).exists() or span in EXAMPLES, span


EXAMPLES = {"card.md", "summary.md", "table.md", "README.md", "reports/plan.md"}


def shell_commands(text: str) -> list[list[str]]:
    """The commands of a page's sh blocks and code spans, as words; <a placeholder> is a word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [*"\n".join(blocks).replace("\\\n", " ").splitlines(), *code_spans(text)]
    found = []
    for line in lines:
        plain = re.sub(r"<[^>]*>", "PLACEHOLDER", line).replace("\\|", "|")
        if re.match(r"\s*(python|dvc|make|cp|source|git|cat)\b", plain):
            words = shlex.split(plain, comments=True)
            while "&&" in words:
                found.append(words[: words.index("&&")])
                words = words[words.index("&&") + 1 :]
            found.append(words)
    return found


COMMANDS = sorted({tuple(words) for text in PAGES.values() for words in shell_commands(text)})


OURS = [words for words in COMMANDS if words[:2] == ("python", "-m") and words[2].split(".")[0] not in ("pip", "venv")]


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_python_commands_exist_with_their_options(words):
    package = (ROOT / words[2].replace(".", "/")).is_dir()
    command, rest = importlib.import_module(f"{words[2]}.run" if package else words[2]).main, list(words[3:])
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.commands[rest.pop(0)]
    values, left_over, _ = command.make_parser(click.Context(command)).parse_args(rest)
    assert not left_over
    for parameter in command.params:
        given = values.get(parameter.name)
        for value in given if isinstance(given, tuple | list) else [given]:
            if isinstance(parameter.type, click.Choice) and isinstance(value, str):
                assert value in parameter.type.choices


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:3] == ("dvc", "exp", "run")], ids=" ".join)
def test_experiments_are_legal(words, tmp_path):
    """Applied as DVC applies them to the committed study, every combination of a sweep."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    changes = [value for option, value in pairwise(words) if option == "-S"]
    changes = [change for change in changes if "PLACEHOLDER" not in change]
    file = tmp_path / "params.yaml"
    for combination in get_hydra_sweeps({str(file): changes}) if changes else []:
        file.write_text(COMMITTED)
        apply_overrides(file, combination[str(file)])
        params.load(file)


def test_quoted_errors_are_what_a_study_is_told(tmp_path):
    blocks = YAML(typ="safe").load(COMMITTED)
    blocks["lora"]["rank"] = -1
    assert told(blocks, tmp_path / "params.yaml") in README
    blocks["retrievers"]["full-hard"]["fit"] = blocks["retrievers"]["full-hard"].pop("recipe")
    assert told(blocks, tmp_path / "params.yaml") in PAGES["docs/params.md"]


def told(blocks: dict, file: Path) -> str:
    """The error that a params file gives, with its name alone."""
    with open(file, "w") as handle:
        YAML().dump(blocks, handle)
    with pytest.raises(UserError) as error:
        params.load(file)
    return str(error.value.message).replace(str(file), file.name)


def test_targets_of_dvc_and_make_exist():
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in COMMANDS:
        if words[:2] == ("dvc", "repro"):
            assert {word.partition("@")[0] for word in words[2:] if not word.startswith("-")} <= {
                *stages,
                "PLACEHOLDER",
            }
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets
        if words[0] == "cp":
            assert (ROOT / words[1]).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_snippets_are_legal(page):
    blocks = YAML(typ="safe").load(COMMITTED)
    for kind, snippet in re.findall(r"^```(python|yaml)\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL):
        if kind == "python":
            compile(snippet, page, "exec")
        else:
            for block, entries in YAML(typ="safe").load(snippet).items():
                blocks[block] = {**blocks.get(block, {}), **entries}
            params.parse(blocks)


def described(text: str) -> dict[str, dict[str, str]]:
    """docs/params.md: path of a block -> its keys with their defaults; {} for a block that is a plain list."""
    found: dict[str, dict[str, str]] = {}
    for heading, body in re.findall(r"^##+ `([^`]+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\| `(\w+)` \| ?(.*?) ?\| .+ \|$", body, re.MULTILINE)
        found[re.sub(r"<\w+>", "<>", heading)] = {key: default.strip("`") for key, default in rows}
    return found


def declared(path: str, kind: Any) -> dict[str, dict[str, str]]:
    """The same from the type at a path of params.yaml, with what is below it."""
    if get_origin(kind) is Annotated:
        return declared(path, get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        found = {}
        for option in get_args(kind):
            if isinstance(option, type) and issubclass(option, BaseModel) and "kind" in option.model_fields:
                found |= declared(f"{path}: {{kind: {get_args(option.model_fields['kind'].annotation)[0]}}}", option)
            elif option is not type(None):
                found |= declared(path, option)
        return found
    if get_origin(kind) is dict:
        return declared(f"{path}.<>", get_args(kind)[1])
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    found = {path: {field.alias or name: default(field) for name, field in kind.model_fields.items()}}
    for name, field in kind.model_fields.items():
        found |= declared(f"{path}.{field.alias or name}", field.rebuild_annotation())
    return found


def default(field: Any) -> str:
    """A default as docs/params.md writes it."""
    if field.is_required():
        return ""
    return json.dumps(field.get_default(call_default_factory=True)).strip('"').replace("null", "none")


def test_every_key_of_params_yaml_is_described_with_its_default_and_no_other():
    found = {}
    for name, field in params.Study.model_fields.items():
        below = declared(name, field.rebuild_annotation())
        found |= below if below else {name: {}}
    found = {path.replace("tunings.<>", "<>"): keys for path, keys in found.items()}
    for path in ("index", "rerank", "recipes.<>"):
        assert found[path]["precision"] == found["precision"].get("precision", "float32")
        found[path]["precision"] = "the study's [`precision`](#precision)"  # tests/test_precision.py
    assert described(PAGES["docs/params.md"]) == found


def test_every_line_of_the_reproduction_log_says_when_what_where_and_how_it_went():
    lines = LOG.search(PAGES["docs/reproducibility.md"])[1].splitlines()
    for line in lines:
        date, commit, machine, verdict = (cell.strip() for cell in line.strip("|").split("|"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", date) and re.fullmatch(r"[0-9a-f]{7,40}", commit) and machine, line
        assert verdict.startswith(("same bytes", "same verdicts", "differs")), line


def test_the_example_of_metrics_diff_begins_with_the_committed_values(committed_study):
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    lines = re.findall(
        r"^reports/metrics\.json +([\w-]+)\.(.+?) {2,}([-\d.]+) +([-\d.]+) +([-\d.]+)$", README, re.MULTILINE
    )
    assert lines
    for variant, figure, before, after, change in lines:
        assert metrics[variant][figure] == float(before)
        assert float(after) - float(before) == pytest.approx(float(change))


def test_the_readme_explains_the_settings_of_the_study():
    study = params.parse(YAML(typ="safe").load(COMMITTED))
    said = " ".join(README.split())
    first, last = study.triplets["hard"].ranks
    assert f"from ranks {first} to {last} of the base model" in said
    assert f"(cosine, margin {study.recipes['printed'].loss.margin:g})" in said
    assert f"(Euclidean, margin {study.recipes['coded'].loss.margin:g}, on vectors that nothing normalises)" in said
    assert study.recipes["coded"].normalize is False
    assert f"the default of {study.triplets['hard'].size:,} is small" in " ".join(PAGES["docs/adding.md"].split())


def test_the_data_card_counts_the_queries_of_the_judged_splits(committed_study):
    table = pq.read_table(
        ROOT / "reports/queries.parquet", columns=["variant", "corpus", "split", "query_id", "cluster"]
    )
    rows = table.filter([name == "base" for name in table["variant"].to_pylist()]).to_pylist()
    said = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([\d,]+) \|(?: [\d,]+ \|){2} ([\d,]+) \|", PAGES["data/README.md"], re.MULTILINE
    )
    sizes = {
        (corpus, split): (int(queries.replace(",", "")), int(clusters)) for corpus, split, queries, clusters in said
    }
    for corpus, split in {(row["corpus"], row["split"]) for row in rows}:
        own = [row for row in rows if (row["corpus"], row["split"]) == (corpus, split)]
        assert sizes[corpus, split] == (len({row["query_id"] for row in own}), len({row["cluster"] for row in own}))
