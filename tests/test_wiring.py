"""dvc.yaml held to the code: what a stage imports, reads and writes is what it declares."""
import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.params import Study

ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def declared(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def modules_of(path: Path) -> set[str]:
    """The stages modules that a file imports, also inside functions, as paths."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stages"):
            base = node.module.replace(".", "/")
            found |= {f"{base}/{alias.name}.py" for alias in node.names} if (ROOT / base).is_dir() else {f"{base}.py"}
        elif isinstance(node, ast.Import):
            found |= {alias.name.replace(".", "/") + ".py" for alias in node.names if alias.name.startswith("stages")}
    return found


def closure(script: str) -> set[str]:
    seen, open_ends = set(), {script}
    while open_ends:
        path = open_ends.pop()
        seen.add(path)
        open_ends |= modules_of(ROOT / path) - seen
    return seen


def script_of(name: str) -> str:
    return re.match(r"python -m ([\w.]+)", declared(name)["cmd"]).group(1).replace(".", "/") + ".py"


def paths(entries: list) -> set[str]:
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_import_closure(name):
    listed = {path for path in paths(declared(name)["deps"]) if path.endswith(".py")}
    assert listed == closure(script_of(name))


@pytest.mark.parametrize("name", STAGES)
def test_paths_in_the_command_are_deps_and_outs(name):
    stage = declared(name)
    said = {re.sub(r"\$\{item\.(row|retriever)\}", "ROW", token) for token in stage["cmd"].split()
            if token.split("/")[0] in ("data", "reports", "papers")}
    listed = paths(stage["deps"]) | paths(stage.get("outs", [])) | paths(stage.get("metrics", [])) | \
        paths(stage.get("plots", []))
    listed = {re.sub(r"\$\{item\.(row|retriever)\}", "ROW", path) for path in listed if not path.startswith("stages/")}
    listed -= {"data/checked"} - said
    assert all(any(path == word or path.startswith(word + "/") for word in said) for path in listed)
    assert all(any(path == word or path.startswith(word + "/") or word.startswith(path + "/") for path in listed)
               for word in said)


SEARCHING = {"retrievers", "interpolations"}
READ = {"warnings": {"recipes"}, "encoders": SEARCHING, "variants": {*SEARCHING, "rerankers"},
        "trained_on": {*SEARCHING, "rerankers", "triplets"}}


def blocks_read(name: str) -> set[str]:
    """The blocks of params.yaml that a stage's command reads: attributes of `study` in the functions it reaches."""
    tree = ast.parse((ROOT / script_of(name)).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    command = re.match(r"python -m [\w.]+ (\w+)", declared(name)["cmd"])
    reached, todo = set(), {command.group(1) if command and command.group(1) in functions else "main"}
    while todo:
        function = todo.pop()
        reached.add(function)
        todo |= {node.id for node in ast.walk(functions[function]) if isinstance(node, ast.Name)
                 and node.id in functions} - reached
    found = set()
    for function in reached:
        for node in ast.walk(functions[function]):
            if isinstance(node, ast.Attribute):
                holder = node.value
                loaded = isinstance(holder, ast.Call) and ast.unparse(holder) == "params.load()"
                if loaded or (isinstance(holder, ast.Name) and holder.id == "study"):
                    found |= READ.get(node.attr, {node.attr})
    return found


WHOLE = [{"params.yaml": None}]


@pytest.mark.parametrize("name", [name for name in STAGES if declared(name)["params"] != WHOLE])
def test_declared_params_are_the_blocks_read(name):
    listed = {"tunings" if entry == "${item.tuning}" else entry.partition(".")[0] for entry in declared(name)["params"]}
    assert listed == blocks_read(name)
    assert listed <= set(Study.model_fields)


def test_check_watches_everything_and_comes_first():
    assert [name for name in STAGES if declared(name)["params"] == WHOLE] == ["check", "transfer", "claims"]
    assert all("data/checked" in declared(name)["deps"] for name in ("download", "checkpoint"))


def test_verbs_do_not_import_each_other_and_nouns_know_no_verb():
    for path in sorted((ROOT / "stages").glob("*.py")):
        assert all(module.startswith("stages/lib/") for module in modules_of(path)), path
    for path in sorted((ROOT / "stages" / "lib").glob("*.py")):
        imported = modules_of(path)
        assert all(module.startswith("stages/lib/") for module in imported), path
        assert "import click" not in path.read_text(), path
        assert path.stem == "params" or "stages/params/study.py" not in imported, path
