"""The README's table is the report's, and what it names exists. `python -m tests.test_readme` refreshes the table."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)
DETECTABLE = re.compile(r"(<!-- detectable -->\n?).*?(\n## )", re.DOTALL)


CLAIMS = re.compile(r"(<!-- claims -->\n).*?(<!-- /claims -->)", re.DOTALL)
LOG = re.compile(r"\| date \| commit \| machine \| verdict \|\n\|[-|]+\|\n((?:\|.*\|\n)*)")


def refreshed(text: str) -> str:
    table = (ROOT / "reports/table.md").read_text() + cost()
    text = BLOCK.sub(lambda match: match.group(1) + table + match.group(2), text)
    return CLAIMS.sub(lambda match: match.group(1) + counted_claims() + match.group(2), text)


def counted_claims() -> str:
    """The verdicts by paper, as the ledger's page counts them."""
    page = (ROOT / "reports/claims.md").read_text()
    return re.search(r"^\|.*?\n\n", page, re.DOTALL | re.MULTILINE)[0].strip() + "\n"


def cost() -> str:
    """What the row that the answer names took to train, as the stage recorded it; nothing where it names none."""
    named = re.match(r"\*\*.*?`([\w-]+)`", (ROOT / "reports/table.md").read_text())
    recorded = sorted((ROOT / "reports/costs/train").glob(f"{named[1]}.*.json")) if named else []
    if not recorded:
        return ""
    figures = json.loads(recorded[0].read_text())
    return (f"\nTraining `{named[1]}` took {figures['train_seconds']:.0f} s a seed and {figures['peak_rss_mb']:,} MB on "
            f"{figures['machine']}.\n")


def detectable() -> str:
    """A sentence about the smallest change that each judged place could have shown, from the results."""
    entries = [entry for entry in json.loads((ROOT / "reports/results.json").read_text()) if entry.get("verdict")]
    places: dict[str, list[float]] = {}
    for entry in entries:
        whole = entry.get("of", 0) <= entry["queries"]
        if entry["detectable"] and whole and "pretrained" not in entry["by_seed_run"]:
            places.setdefault(f"{entry['corpus']} {entry['split']}", []).append(100 * entry["detectable"] / entry["base"])
    told = ", ".join(f"{min(found):.1f} to {max(found):.1f} % on {place}" for place, found in places.items())
    return f"Smallest change that a 5 % test would find 4 times in 5: {told}."


def card(text: str) -> str:
    return DETECTABLE.sub(lambda match: f"<!-- detectable -->\n{detectable()}\n{match.group(2)}", text)


def test_the_table_and_the_data_card_are_fresh():
    for name, fresh in (("README.md", refreshed), ("data/README.md", card)):
        text = (ROOT / name).read_text()
        assert fresh(text) == text, f"{name} is stale: make readme"


def test_every_line_of_the_reproduction_log_says_when_what_where_and_how_it_went():
    lines = LOG.search((ROOT / "README.md").read_text())[1].splitlines()
    for line in lines:
        date, commit, machine, verdict = (cell.strip() for cell in line.strip("|").split("|"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", date) and re.fullmatch(r"[0-9a-f]{7,40}", commit) and machine, line
        assert verdict.startswith(("same bytes", "same verdicts", "differs")), line


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
