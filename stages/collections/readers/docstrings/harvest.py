"""What installed packages document: every documentation string with the dotted name of its object."""

import ast
import importlib.metadata
import inspect
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UserError

SKIPPED = re.compile(
    r"(^|/)(_?tests?|_?test_\w+|_?testing|conftest|estimator_checks|_?benchmarks?|_?externals?|"
    r"_?extern|_?vendor\w*|_lib|_build_utils|distutils|setup|\.\.)(\.py|/)"
)


@dataclass(frozen=True)
class Documented:
    """An object with a documentation string: its dotted name and that of the module it is written in."""

    name: str
    module: str
    doc: str


def installed(packages: list[str], dropped: Counter[str]) -> tuple[list[Documented], dict[str, str]]:
    """What installed distributions document, and the version of each; "scipy/scipy/stats" is a path in scipy.

    Tests, vendored code and the like are skipped. Raises UserError naming a distribution that is not installed.
    """
    versions: dict[str, str] = {}
    objects: list[Documented] = []
    for package in sorted(packages):
        name, _, folder = package.partition("/")
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(f"source: package {name} is not installed; install the locked requirements") from None
        versions[name] = distribution.version
        paths = sorted(path.as_posix() for path in distribution.files or [] if path.suffix == ".py")
        paths = [path for path in paths if path.startswith(folder) and not SKIPPED.search(path)]
        objects += harvest(((path, Path(str(distribution.locate_file(path)))) for path in paths), dropped)
    return objects, versions


def harvest(files: Iterable[tuple[str, Path]], dropped: Counter[str]) -> Iterator[Documented]:
    """Yield what (path in its distribution, file) pairs document, file by file, in the order of the lines."""
    for path, file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            dropped["file that does not parse"] += 1
            continue
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, doc in documented(tree, module):
            yield Documented(name, module, doc)


def documented(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, documentation string) of a module or class, what it defines, and add_newdoc calls."""
    doc = ast.get_docstring(node)
    if doc:
        yield name, doc
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from documented(child, f"{name}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(child)
            if doc:
                yield f"{name}.{child.name}", doc
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            called = getattr(child.value.func, "id", getattr(child.value.func, "attr", ""))
            texts = [a.value for a in child.value.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if called in ("add_newdoc", "add_docstr") and len(texts) > 1:
                yield f"{name}.{texts[-2]}", inspect.cleandoc(texts[-1])
