"""The README's table is the report's, and what it names exists. `python -m tests.test_readme` refreshes the table."""
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)
DETECTABLE = re.compile(r"(<!-- detectable -->\n?).*?(\n## )", re.DOTALL)


def refreshed(text: str) -> str:
    table = (ROOT / "reports/table.md").read_text()
    return BLOCK.sub(lambda match: match.group(1) + table + match.group(2), text)


def detectable() -> str:
    """The report's sentence about the smallest change that the test could have shown."""
    return re.search(r"Smallest change .*", (ROOT / "reports/table.md").read_text()).group(0)


def card(text: str) -> str:
    return DETECTABLE.sub(lambda match: f"<!-- detectable -->\n{detectable()}\n{match.group(2)}", text)


def test_the_table_and_the_data_card_are_fresh():
    for name, fresh in (("README.md", refreshed), ("data/README.md", card)):
        text = (ROOT / name).read_text()
        assert fresh(text) == text, f"{name} is stale: make readme"


def test_every_file_and_target_it_names_is_there():
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        assert (ROOT / name).exists(), name
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE)) <= targets
    tree = re.search(r"```\n(dvc\.yaml.*?)```", text, re.DOTALL).group(1)
    for line in tree.splitlines():
        path = line.split()[0]
        assert (ROOT / path).exists() or path.startswith("data/"), path


if __name__ == "__main__":
    for name, fresh in (("README.md", refreshed), ("data/README.md", card)):
        (ROOT / name).write_text(fresh((ROOT / name).read_text()))
