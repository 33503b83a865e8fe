"""What the code behind a stage computes, apart from how it reads.

A fingerprint covers the import closure of a script. Docstrings, comments, type hints of functions, help texts, printed
lines and the words of errors are left out of it, so that they can be improved without running anything again. Left out
as well are the packages of PLUMBING, which decide when and where a stage writes but never what.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOVERS = ("code", "costs", "errors", "files", "on_ray", "scratch")
PLUMBING = ("stages/params/", *(f"stages/core/{name}.py" for name in MOVERS))
HELP = ("help", "metavar", "desc")


def closure(*modules: str) -> list[Path]:
    """The files of this repository that the modules import, also inside functions, with those of the modules; sorted.

    A package's other files, such as templates, belong to each of its modules.
    """
    found: set[Path] = set()
    open_ends = {path for module in modules for path in _files_of(module)}
    while open_ends:
        path = open_ends.pop()
        found.add(path)
        open_ends |= _imported(path) - found
    data = {
        file
        for path in found
        for file in path.parent.iterdir()
        if path.parent.name != "stages" and file.is_file() and file.suffix != ".py"
    }
    return sorted(found | data)


def fingerprint(*modules: str) -> str:
    """sha256 over what the closure of some modules computes, in hex."""
    return hashlib.sha256(json.dumps(hashes(*modules)).encode()).hexdigest()


def hashes(*modules: str) -> dict[str, str]:
    """Path -> sha256 of what the file computes, for the closure of some modules without the plumbing."""
    named = {path.relative_to(ROOT).as_posix(): path for path in closure(*modules) if path.stat().st_size}
    return {name: _hash(path) for name, path in named.items() if not name.startswith(PLUMBING)}


@cache
def _hash(path: Path) -> str:
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(_plain(Wordless().visit(ast.parse(path.read_text())))).encode()).hexdigest()


class Wordless(ast.NodeTransformer):
    """A module without the words that only people read."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "click.echo":
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=raised, cause=None)

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg in HELP else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _plain(node: object) -> object:
    """A syntax tree as lists that are the same under every version of Python that parses it."""
    if isinstance(node, ast.AST):
        fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if name not in ("ctx", "kind")]
        return [type(node).__name__, *([name, value] for name, value in fields if value not in (None, []))]
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    return node if node is None or isinstance(node, str | int | bool) else repr(node)


@cache
def _imported(path: Path) -> frozenset[Path]:
    return frozenset(_imports(path)) if path.suffix == ".py" else frozenset()


def _imports(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _files_of(node.module)
            for alias in node.names:
                yield from _files_of(f"{node.module}.{alias.name}")


def _files_of(module: str) -> Iterable[Path]:
    """The file of a module of this repository and the __init__ files of its packages; none for another library's."""
    parts = module.split(".")
    if parts[0] not in ("stages", "studies"):
        return
    for depth in range(1, len(parts)):
        package = ROOT.joinpath(*parts[:depth], "__init__.py")
        if package.is_file():
            yield package
    for path in (ROOT.joinpath(*parts, "__init__.py"), ROOT.joinpath(*parts).with_suffix(".py")):
        if path.is_file():
            yield path
