"""Figures in prose: each is written by docs/fill.py, recomputed here, or in a paragraph that says where it is from.

A paragraph, list or table says so in a comment on the line above it: `<!-- measured: <command> -->` where only another
run on a machine can tell, `<!-- settings: <file> -->` for what is set there or is arithmetic from it, and
`<!-- source: <where> -->` for what somebody else published.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from docs import fill
from stages import params
from stages.analysis import transfer
from stages.core import yaml_file
from stages.evaluation import results
from studies import mteb
from tests.conftest import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [*fill.pages(), ROOT / "benchmarks/README.md", ROOT / "studies/README.md"]
}
# What looks like a result: three decimals or more, thousands, or a number with a unit.
COUNTED = "steps|triplets|tokens|minutes|seconds|hours|queries|passages|clusters|stages|million"
UNITS = rf" ?%| x\b| ?(?:s|ms|min|h|GB|MB|MiB|KB|GFLOP/s)\b| (?:{COUNTED})\b"
FIGURE = re.compile(rf"(?<![\w.,:/-])(?:\d+\.\d{{3,}}|\d{{1,3}}(?:,\d{{3}})+|\d[\d,]*(?:\.\d+)?(?={UNITS}))(?!\.\d)")
MARKER = re.compile(r"<!-- (measured|settings|source): (.+?) -->\n")
NO_PROSE = re.compile(r"^```.*?^```$|`[^`\n]*`|\]\([^)]*\)|arXiv[:/ ]\d+\.\d+", re.DOTALL | re.MULTILINE)
TYPED = {  # what sentences of reports say of tests and papers; all else they compute
    "stages/compare.py": ["80 % power"],
    "stages/reporting/cause.py": ["80 % power", "cut at 64 tokens", "512 to 1,024 triplets and searches 8.8 million"],
    "stages/reporting/changes.py": ["< 0.0001"],
    "stages/reporting/open_questions.py": ["80 % power"],
    "stages/reporting/saturation.py": ["512 to 1,024", "arXiv 2506.18535"],
    "stages/reporting/variants_table.py": ["80 %"],
}


def recomputed() -> Iterator[tuple[str, str]]:
    """Page, and a part of a sentence on it as it has to be."""
    printed = yaml_file.load(ROOT / "stages/ledger/printed_tables.yaml")["P1"]["results"]
    worst = min(row["mrr10"] for row in printed.values() if isinstance(row, dict))
    yield "README.md", f"MRR@10 falls from {printed['base']['mrr10']:.4f} to {worst:.4f} in the worst case"
    yield "README.md", f"the study took {cell('docs/costs.md', 'the default study from nothing', 1)}, after the inst"

    encode, train = (
        cell("benchmarks/README.md", f"`python -m benchmarks.speed {name}`", 1) for name in ("encode", "train")
    )
    ratios = [re.search(r"[\d.]+ x", words)[0] for words in (encode, train)]
    yield "docs/costs.md", f"it encoded {ratios[0]} and trained {ratios[1]} as fast as the library at its defaults"
    assert float(re.search(r"least cosine of bfloat16 to it ([\d.]+)", encode)[1]) > 0.9999
    yield "docs/costs.md", "were above 0.9999"
    nothing = re.search(
        r"nothing to do ([\d.]+ s)", cell("benchmarks/README.md", "`python -m benchmarks.speed nothing`", 1)
    )
    yield "docs/costs.md", f"| `dvc repro` with nothing to do | {nothing[1]} |"

    asked, relevant = (cell("data/README.md", "`in_domain` | all", at) for at in (2, 3))
    yield "data/README.md", f"{asked} queries ask for {relevant} passages"
    sizes = clusters()
    yield (
        "data/README.md",
        f"{sizes['in_domain', 'dev']} (dev), {sizes['in_domain', 'test']} (test) and "
        f"{sizes['out_of_domain', 'test']} (`out_of_domain`)",
    )
    study = params.load(ROOT / "params.yaml")
    size, batch = study.triplets["hard"].size, study.recipes["printed"].batch
    yield "docs/params.md", f"The default schedule is {size // batch} steps of {batch} triplets"
    yield "docs/params.md", f"texts cut at {study.checkpoints['minilm'].tokens} tokens"
    yield "docs/params.md", f"with {size // batch} steps instead of thousands"
    yield "docs/reproducibility.md", f"all-MiniLM-L6-v2 on SciFact at {mteb.TOKENS} tokens"
    yield "docs/adding.md", f"the default of {size:,} is small for a large collection"
    yield "docs/adding.md", f"The default of {size:,} triplets suits"
    kept = {one.variant: one for one in transfer.read(ROOT / "reports/keeping.json").variants}["coded-hard"]
    size = params.load(ROOT / "studies/keeping.yaml").triplets["hard"].size
    yield (
        "docs/transfer.md",
        f"{size} triplets of it the recipe loses {-kept.in_domain.change():.1f} % in domain and "
        f"{-kept.out_of_domain.change():.1f} % out of domain",
    )
    own, other = coded_hard()
    yield (
        "docs/transfer.md",
        f"out of domain alone ({other.change():+.1f} %; in domain {own.change():+.1f} %, {own.comparison.verdict})",
    )
    samples = json.loads((ROOT / "studies/search_agreement.json").read_text())["agreement"]
    yield "docs/search.md", f"has {samples['search, validation queries']['queries']} validation queries"


def coded_hard() -> list[results.Result]:
    """The recipe of P1's code in the default study: on the target in domain, and on the one out of domain."""
    report, entries = params.load(ROOT / "params.yaml").report, results.read(ROOT / "reports/results.json")
    return [results.at(entries, target)["coded-hard"] for target in report.targets]


def test_the_recipe_of_the_code_is_worse_out_of_domain_alone():
    """docs/transfer.md, studies/keeping.yaml and reports/keeping.md say so of the default study."""
    assert [one.comparison.verdict == "worse" for one in coded_hard()] == [False, True]


def clusters() -> dict[tuple[str, str], int]:
    """Corpus and split -> the queries of its largest cluster."""
    table = pq.read_table(ROOT / "reports/queries.parquet", columns=["variant", "corpus", "split", "cluster"])
    rows = table.filter([name == "base" for name in table["variant"].to_pylist()]).to_pylist()
    counted = Counter((row["corpus"], row["split"], row["cluster"]) for row in rows)
    largest: dict[tuple[str, str], int] = {}
    for (corpus, split, _), queries in counted.items():
        largest[corpus, split] = max(largest.get((corpus, split), 0), queries)
    return largest


def cell(page: str, begins: str, at: int) -> str:
    """A cell of the row of a table that begins with the words; the first is 0."""
    row = next(line for line in PAGES[page].splitlines() if line.startswith(f"| {begins}"))
    return re.split(r" \| ", row.strip("| "))[at]


def prose(page: str) -> list[str]:
    """The paragraphs, lists and tables of a page that nothing writes and that name no source, each on one line."""
    text = fill.BLOCK.sub("", PAGES[page])
    for part in [words for name, words in recomputed() if name == page]:
        text = re.sub(r"\s+".join(map(re.escape, part.split())), "", text)
    text = NO_PROSE.sub("", text)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if not MARKER.match(block)]


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_in_prose_has_a_source(page):
    loose = [
        block[max(0, one.start() - 60) : one.end() + 20] for block in prose(page) for one in FIGURE.finditer(block)
    ]
    assert not loose, "write it by docs/fill.py, recompute it here, or name its source above the paragraph"


@pytest.mark.parametrize("page, words", list(recomputed()))
def test_what_can_be_recomputed_is_what_the_page_says(page, words):
    assert words in " ".join(PAGES[page].split())


@pytest.mark.parametrize(
    "page, kind, source", [(page, *found) for page in PAGES for found in MARKER.findall(PAGES[page])]
)
def test_the_source_that_a_paragraph_names_is_there(page, kind, source):
    if module := re.match(r"python -m ([\w.]+)", source):
        path = ROOT / module[1].replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    elif kind == "settings":
        assert all((ROOT / name).exists() for name in source.split(", "))
    else:
        assert kind == "source" or source.split()[0] in ("dvc", "make")


def test_what_precision_costs_was_measured_on_the_collections_at_hand():
    """docs/costs.md has the base in two precisions, encoded in other batches than the study has: equal to 0.001."""
    values = {
        (one.corpus, one.split, one.measure): one.value
        for one in results.read(ROOT / "reports/results.json")
        if one.variant == "base"
    }
    for corpus, split in (("in_domain", "dev"), ("in_domain", "test"), ("out_of_domain", "test")):
        for at, measure in ((1, "nDCG@10"), (2, "RR@10")):
            both = cell("docs/costs.md", f"{corpus} {split}", at).split(", ")
            assert [float(one) for one in both] == pytest.approx([values[corpus, split, measure]] * 2, abs=1e-3)


def test_reports_type_no_figure():
    """No sentence of a report, and none of its templates, has a figure that is not put in."""
    for path in [*(ROOT / "stages/reporting").rglob("*.py"), ROOT / "stages/compare.py", ROOT / "stages/report.py"]:
        name, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())
        described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
                words = node.value
                for known in TYPED.get(name, []):
                    words = words.replace(known, "")
                assert not FIGURE.search(words), f"{name}:{node.lineno}: {words}"
    for path in (ROOT / "stages/reporting").rglob("*.html.j2"):
        assert not FIGURE.search(re.sub(r"\{[{%].*?[%}]\}", "", path.read_text())), path.name
