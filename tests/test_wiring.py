"""dvc.yaml held to the code: what a stage reads and writes is what it declares, and packages form no circle."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.core import code, graph

ROOT = Path(__file__).parents[1]
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
FIRST = ("check", "code")  # what every other stage comes after
PACKAGES = (
    "core",
    "params",
    "collections",
    "models",
    "retrieval",
    "negatives",
    "training",
    "evaluation",
    "analysis",
    "ledger",
    "reporting",
    "running",
    "planning",
)


def declared(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def script_of(name: str) -> Path:
    return ROOT / (re.match(r"python -m ([\w.]+)", declared(name)["cmd"])[1].replace(".", "/") + ".py")


def paths(entries: list) -> set[str]:
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


@pytest.mark.parametrize("name", [name for name in STAGES if name not in FIRST])
def test_a_stage_depends_on_its_own_code(name):
    """In data/code, where the stage `code` writes it; a stage lists no module by hand."""
    listed = paths(declared(name)["deps"])
    key = {"foreach": "/${key}", "matrix": "/${item.variant}-${item.corpus}"}
    written = graph.plain(name) + next((key[kind] for kind in key if kind in STAGES[name]), "")
    assert {path for path in listed if path.startswith("data/code")} == {f"data/code/{written}.json"}
    assert not any(path.startswith("stages/") and path.endswith(".py") for path in listed)


def test_check_declares_what_it_imports():
    listed = paths(declared("check")["deps"])
    read = {path.relative_to(ROOT).as_posix() for path in code.closure("stages.check") if path.stat().st_size}
    assert all(any(path == dep or path.startswith(f"{dep}/") for dep in listed) for path in read)


def test_check_comes_before_everything_that_takes_time():
    assert all("data/checked" in declared(name)["deps"] for name in ("download", "checkpoint"))
    assert all(declared(name)["params"] == [{"params.yaml": None}] for name in FIRST)


@pytest.mark.parametrize("name", STAGES)
def test_paths_in_the_command_are_deps_and_outs(name):
    stage = declared(name)
    variant = re.compile(r"\$\{item\.(variant|retriever)\}")
    said = {
        variant.sub("VARIANT", word)
        for word in stage["cmd"].split()
        if word.split("/")[0] in ("data", "own", "reports", "studies", "${item.teacher}")
    }
    listed = {path for kind in ("deps", "outs", "metrics", "plots") for path in paths(stage.get(kind, []))}
    listed = {variant.sub("VARIANT", path) for path in listed if not path.startswith(("stages", "data/code"))}
    listed -= {"data/checked", "params.yaml"} - said
    said -= {"data/code"} | ({"data", "reports/training"} if name == "check" else set())
    listed -= {"reports/queries.parquet"} if name == "costs" else set()  # when it changes, costs are gathered

    def covers(one: str, other: str) -> bool:
        return one == other or one.startswith(f"{other}/")

    assert all(any(covers(path, word) for word in said) for path in listed)
    assert all(any(covers(path, word) or covers(word, path) for path in listed) for word in said)


def settings(name: str) -> list[str]:
    """The keys of params.yaml that a stage names; a row's own key stands as ${...}, and its tuning as tunings."""
    stage = declared(name)
    named = [entry for entry in stage["params"] if isinstance(entry, str)] + stage.get("meta", {}).get("also", [])
    return ["tunings" if key == "${item.tuning}" else key.partition(".${")[0] for key in named]


# What computes vectors and finds passages decides no byte of them: no stage names it, and a change runs none again.
NO_BYTES = ("scale.encoding", "scale.search")


def undeclared(read: Iterable[str], name: str) -> set[str]:
    """The keys that were read and that the stage does not name, nor a block that they are in."""
    named = settings(name)
    return {key for key in read if not any(key == one or key.startswith(f"{one}.") for one in (*named, *NO_BYTES))}


SEARCHERS = {"retrievers", "interpolations", "searches"}
SETS = {"triplets", "scored", "mixes"}
READ = {
    "warnings": {"recipes", "searches"},
    "trained": {"retrievers", "searches"},
    "searchers": SEARCHERS,
    "variants": {*SEARCHERS, "fusions", "rerankers"},
    "members": {"fusions"},
    "training_set": SETS,
    "training_sets": SETS,
    "trained_on": {*SEARCHERS, "fusions", "rerankers", *SETS},
    "corpora_of": {*SEARCHERS, "fusions", "rerankers", *SETS},
}


def blocks_read(name: str) -> set[str]:
    """The blocks of params.yaml that a stage's command reads: attributes of `study` in the functions it reaches."""
    tree = ast.parse(script_of(name).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    command = re.match(r"python -m [\w.]+ (\w+)", declared(name)["cmd"])
    reached, ahead = set(), {command[1] if command and command[1] in functions else "main"}
    while ahead:
        function = ahead.pop()
        reached.add(function)
        used = {node.id for node in ast.walk(functions[function]) if isinstance(node, ast.Name)}
        ahead |= used & functions.keys() - reached
    read = set()
    for function in reached:
        nodes = [node for node in ast.walk(functions[function]) if isinstance(node, ast.Attribute)]
        without = [node.value for node in nodes if ast.unparse(node).endswith(NO_BYTES)]
        for node in nodes:
            if node not in without:
                loaded = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "params.load()"
                if loaded or (isinstance(node.value, ast.Name) and node.value.id == "study"):
                    read |= READ.get(node.attr, {node.attr})
    return read


WHOLE = [{"params.yaml": None}]


@pytest.mark.parametrize("name", [name for name in STAGES if declared(name)["params"] != WHOLE])
def test_declared_params_are_the_blocks_read(name):
    listed = {key.partition(".")[0] for key in settings(name)}
    assert blocks_read(name) <= listed
    assert listed <= set(params.Study.model_fields)


def test_every_instance_is_what_dvc_expands():
    """graph.instances against DVC's own resolver, on the committed params.yaml."""
    from dvc.repo import Repo

    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    ours = {instance.name: instance for instance in graph.instances(PIPELINE, blocks)}
    with Repo(str(ROOT)) as repo:
        theirs = {stage.addressing: stage for stage in repo.index.stages}
        assert ours.keys() == theirs.keys()
        for name, stage in theirs.items():
            code_file = f"data/code/{ours[name].code}"
            assert name in FIRST or code_file in {dep.def_path for dep in stage.deps}


def imported(path: Path) -> set[str]:
    """The modules of `stages` that a file imports, also inside functions, as dotted names below stages."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stages"):
            inner = node.module.removeprefix("stages").lstrip(".")
            names |= {inner} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name[7:] for alias in node.names if alias.name.startswith("stages.")}
    return {name for name in names if name}


@pytest.mark.parametrize("path", sorted((ROOT / "stages").rglob("*.py")), ids=lambda path: path.stem)
def test_packages_form_no_circle_and_know_no_verb(path):
    """A verb imports packages and no other verb; a package imports itself and those before it."""
    room = path.relative_to(ROOT / "stages").parts[0]
    used = {name.partition(".")[0] for name in imported(path)}
    assert used <= set(PACKAGES), used
    if room in PACKAGES:
        above = set(PACKAGES[PACKAGES.index(room) + 1 :])
        # Every package may name params' types; only errors are below params.
        assert not used & above - ({"params"} if room != "core" else set())


def functions_of(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", sorted((ROOT / "stages").rglob("*.py")), ids=lambda path: path.stem)
def test_modules_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 260
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions_of(path)}
    assert {name: lines for name, lines in long.items() if lines > 50} == {}
