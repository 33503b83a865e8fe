"""`dvc exp run -S` changes what is set and no other byte of params.yaml, tried with the function that DVC calls."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
STUDIES = [
    "params.yaml",
    "studies/keeping.yaml",
    "studies/recipes.yaml",
    "studies/curve.yaml",
    *(f"studies/{kind}/{path.name}" for kind in ("papers", "searches") for path in ROOT.glob(f"studies/{kind}/*.yaml")),
]
NAMED = ("corpora", "checkpoints", "pools", "triplets", "recipes", "retrievers", "interpolations", "rerankers")
ENTRY = "{kind: x, source: 'hub:a/b@c', ranks: [1, 2], loss: {kind: y}}"


def read(text: str) -> dict:
    """As DVC reads: in C, where a text with a colon inside braces is an error, unless it is quoted; DVC unquotes it."""
    return YAML(typ="safe").load(text)


def put(text: str, overrides: list[str], folder: Path) -> str:
    file = folder / "params.yaml"
    file.write_text(text)
    apply_overrides(file, overrides)
    return file.read_text()


def leaves(blocks: dict, above: str = "") -> Iterator[tuple[str, object]]:
    """Every key whose value is no mapping, by its path, with the value."""
    for key, value in blocks.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def written(value: object) -> str:
    """A value in the grammar of -S."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, str):
        return f"'{value}'"
    return "null" if value is None else str(value).lower()


def another(value: object) -> object:
    """A value of the same type; of a text or number, one as long as it."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return 1
    if isinstance(value, list):
        return [*value, *value] or [1]
    place = max(at for at, letter in enumerate(str(value)) if letter.isalnum()) if str(value) else 0
    text = str(value)[:place] + ("8" if str(value)[place:][:1] == "7" else "7") + str(value)[place + 1 :]
    return type(value)(text)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    lines = [*difflib.ndiff(before.splitlines(), after.splitlines())]
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


def filled(text: str) -> list[str]:
    """The lines that are not empty: an empty one goes with the last entry of a block."""
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("name", STUDIES)
def test_every_value_can_be_set_and_set_back(name, tmp_path):
    text = (ROOT / name).read_text()
    values = dict(leaves(read(text)))
    after = put(text, [f"{key}={written(another(value))}" for key, value in values.items()], tmp_path)
    assert dict(leaves(read(after))) == {key: another(value) for key, value in values.items()}
    assert put(after, [f"{key}={written(value)}" for key, value in values.items()], tmp_path) == text


@pytest.mark.parametrize("name", STUDIES)
def test_only_the_line_of_a_value_changes(name, tmp_path):
    """All at once: every line without a value, comments and empty ones among them, is the line it was."""
    text = (ROOT / name).read_text()
    values = {key: value for key, value in leaves(read(text)) if not isinstance(value, list)}
    after = put(text, [f"{key}={written(another(value))}" for key, value in values.items()], tmp_path)
    pairs = [*zip(text.splitlines(), after.splitlines(), strict=True)]
    differing = [old for old, new in pairs if old != new]
    assert all(re.match(r" *([\w-]+:( |$)|hub:)", line) for line in differing)


def test_an_entry_can_be_added_and_taken_away(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    for block in NAMED:
        after = put(text, [f"+{block}.another={ENTRY}"], tmp_path)
        gone, come = changed_lines(text, after)
        assert not gone and come[0] == "  another:" and len(come) == 8
        assert read(after)[block].pop("another")["source"] == "hub:a/b@c"
        assert filled(put(after, [f"~{block}.another"], tmp_path)) == filled(text)


def lines_of(text: str, block: str, entry: str) -> list[str]:
    """The lines of params.yaml that one entry of a block takes."""
    inside = re.search(rf"^{block}:\n((?:  .*\n|- .*\n)+)", text, re.M)[1]
    return re.search(rf"^  {entry}:.*\n(?:    .*\n)*", inside, re.M)[0].splitlines()


def test_an_entry_that_goes_takes_its_own_lines_alone(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    for block in NAMED:
        entries = list(read(text)[block])
        for entry in entries if block == "retrievers" else {entries[0], entries[-1]}:
            after = put(text, [f"~{block}.{entry}"], tmp_path)
            gone, come = changed_lines(text, after)
            if len(entries) > 1:
                assert not come and filled("\n".join(gone)) == lines_of(text, block, entry)
            assert read(after) == {
                **read(text),
                block: {key: value for key, value in read(text)[block].items() if key != entry},
            }


@pytest.mark.parametrize("block", ["interpolations", "pools", "rerankers"])
def test_a_block_may_become_empty(block, tmp_path):
    """Under a comment DVC would write braces where no YAML parser takes them."""
    text = (ROOT / "params.yaml").read_text()
    after = put(text, [f"~{block}.{entry}" for entry in read(text)[block]], tmp_path)
    assert read(after) == {**read(text), block: {}}
