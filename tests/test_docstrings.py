"""The default collection: parsing, splits that share nothing, and bytes that do not change."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from stages.collections import readers
from stages.collections.near_duplicates import representatives, shingles
from stages.collections.readers.docstrings.harvest import Documented, harvest
from stages.collections.readers.docstrings.pairs import collect
from stages.collections.readers.docstrings.prose import summary_and_narrative
from stages.collections.readers.docstrings.references import resolver
from stages.collections.source import Source
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit

IN_DOMAIN = "scikit-learn,scipy", (("train", 40), ("dev", 10), ("test", 50))
OUT_OF_DOMAIN = "matplotlib,pillow", (("test", 100),)
SUMMARY = ("summary",)
EVERY_KIND = ("summary", "returns", "see-also", "listing")
WIDER = "networkx,numpy,scikit-learn,scipy", (("train", 18), ("dev", 9), ("test", 73)), EVERY_KIND
WIDER_OUT_OF_DOMAIN = "altair,fonttools,hypothesis,matplotlib,pillow,pytest", (("test", 100),), EVERY_KIND


def read(packages: str, shares: dict[str, int], kinds: tuple[str, ...] = SUMMARY) -> Source:
    """All splits of a corpus of packages, its passages in a list."""
    judged = {split: JudgedSplit() for split in shares if split != "train"}
    train = "train" if "train" in shares else None
    corpus = Corpus(source=f"docstrings:{packages}", shares=shares, train=train, judged=judged, queries=kinds)
    source = readers.read(corpus)
    return replace(source, docs=list(source.docs))


@cache
def corpus(packages: str, shares: tuple[tuple[str, int], ...], kinds: tuple[str, ...] = SUMMARY) -> Source:
    return read(packages, dict(shares), kinds)


def content_hash(source: Source) -> str:
    lines = ["\t".join(doc) for doc in source.docs]
    lines += [f"{query_id}\t{text}\t{cluster}" for query_id, (text, cluster) in source.queries.items()]
    lines += [
        f"{split}\t{query_id}\t{doc_id}\t{grade}"
        for split, rows in source.qrels.items()
        for query_id, doc_id, grade in rows
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def harvested(folder, files: dict[str, str], shares: dict[str, int], kinds: tuple[str, ...] = SUMMARY) -> Source:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    objects = harvest([(f"fake/{name}", folder / name) for name in sorted(files)], Counter())
    source = collect(objects, shares, Counter(), {}, kinds)
    return replace(source, docs=list(source.docs))


def test_numpydoc_sections_code_and_markup_are_kept_apart():
    summary, narrative = summary_and_narrative("""\
convolve(a, v, mode='full')

Return the convolution of two sequences. The `mode` says what is kept [1]_.

The operator is often seen in **signal processing**, see :func:`~numpy.correlate`, where it models a system.
It is defined as:

.. math:: (a * v)_n = \\sum a_m v_{n - m}

.. versionadded:: 1.2
    More text that is no prose.

Parameters
----------
a : array_like
    First one-dimensional input array.

Notes
-----
Cf. Vol. 2 of the handbook. Two remarks are left:

- the shorter sequence is swapped in;
- padding is with zeros only.

Examples
--------
>>> convolve([1], [2])
""")
    assert summary == "Return the convolution of two sequences"
    assert narrative == [
        "The mode says what is kept [1].",
        "The operator is often seen in signal processing, see numpy.correlate, where it models a system.",
        "Cf. Vol. 2 of the handbook.",
        "Two remarks are left:",
        "the shorter sequence is swapped in;",
        "padding is with zeros only.",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        "Args:\n    path: where the file lies on disk.\n\nReturns:\n    The parsed table of the file.",
        ":param path: where the file lies on disk.\n:return: the parsed table of the file.",
    ],
)
def test_google_and_field_list_styles_end_the_narrative(fields):
    doc = f"Read a table from a file.\n\nLines that start with a hash are skipped.\n\n{fields}\n"
    assert summary_and_narrative(doc) == ("Read a table from a file", ["Lines that start with a hash are skipped."])


NARRATIVE = (
    "Rows are taken in the order of the file, blank rows are skipped, and every field is stripped of the "
    "blanks around it before it is turned into a number by the rules of the current table."
)


def test_a_planted_near_duplicate_is_merged_and_its_query_dropped(tmp_path):
    source = harvested(
        tmp_path,
        {
            "first.py": f'def rows():\n    """Read all rows of a table.\n\n    {NARRATIVE}\n    """\n',
            "second.py": f'def fields():\n    """Read all of it.\n\n    {NARRATIVE} Columns are left alone.\n    """\n',
            "third.py": f'def again():\n    """Take the rows one by one.\n\n    {NARRATIVE.upper()}\n    """\n',
        },
        {"train": 50, "test": 50},
    )
    assert source.docs == [("fake.first.rows", NARRATIVE)]
    assert dict(source.queries.values()) == {
        "Read all rows of a table": "fake.first",
        "Take the rows one by one": "fake.first",
    }
    assert [rows for rows in source.qrels.values() if rows] == [
        [("q:fake.first.rows", "fake.first.rows", 1), ("q:fake.third.again", "fake.first.rows", 1)]
    ]


def test_a_passage_that_holds_its_query_is_left_out(tmp_path):
    doc = f"Skip the blank rows.\n\n    To skip the blank rows is the rule. {NARRATIVE}"
    source = harvested(tmp_path, {"leak.py": f'def skip():\n    """{doc}\n    """\n'}, {"test": 100})
    assert (source.docs, source.queries, source.dropped["passage holds its query"]) == ([], {}, 1)


MANY_KINDS = """\
'''Reading of tables.

rows    -- All lines of a file that hold numbers,
        -- each with its place
columns -- One field of every line
nowhere -- What no module here documents
'''

def rows():
    '''Read all rows of a table.

    NARRATIVE

    Returns
    -------
    rows : list
        Numbers in the order in which the file has them. They are copies.
    names : list
        The words of the header line alone.

    See Also
    --------
    Table.read : Loop over a table without holding it.
    fake.first.columns
        Single fields of a table, line by line.
    columns : Single fields of the table, line by line.
    Table.close : Similar to the end of a context.
    rows, columns : Two of them at once.
    '''

def columns():
    '''Take columns apart.

    NARRATIVE Fields that are missing hold nothing, quotes are taken off, and a comma inside of them is left alone.

    Returns
    -------
    list
        Numbers in the order of fields, which may be of any length.
    '''

class Table:
    '''A table on disk.'''

    def read(self):
        '''Go through it.

        The file is opened at the first row and closed behind the last one, and an error on the way closes it as well.

        Returns
        -------
        Numbers, nowhere described.
        '''
"""


def test_results_see_also_sections_and_member_lists_ask_for_the_objects_they_name(tmp_path):
    files = {"first.py": MANY_KINDS.replace("NARRATIVE", NARRATIVE)}
    source = harvested(tmp_path, files, {"test": 100}, EVERY_KIND)
    assert [(source.queries[query].text, doc) for query, doc, _ in source.qrels["test"]] == [
        ("Read all rows of a table", "fake.first.rows"),
        ("Numbers in the order in which the file has them", "fake.first.rows"),
        ("All lines of a file that hold numbers, each with its place", "fake.first.rows"),
        ("Numbers in the order of fields, which may be of any length", "fake.first.columns"),
        ("Single fields of a table, line by line", "fake.first.columns"),
        ("One field of every line", "fake.first.columns"),
        ("Loop over a table without holding it", "fake.first.Table.read"),
    ]
    assert source.dropped["see-also: query nearly another of its object"] == 1
    assert source.dropped["listing: query of an unknown object"] == 1


def test_a_name_means_the_nearest_object_whose_dotted_name_it_fits_and_none_of_two():
    names = ["lib._a.norm", "lib._b.norm", "lib.linalg._c.norm", "lib._a.Tree.cut", "lib._b.Tree.cut", "other.norm"]
    objects = [Documented(name, name.rsplit(".", 1)[0], "") for name in names]
    meant = resolver(objects)

    def named(name: str, place: str) -> str | None:
        number = meant(name, Documented(place, "", ""))
        return None if number is None else names[number]

    assert named("norm", "lib._a.Tree.cut") == "lib._a.norm"
    assert named("norm", "lib._d.far") is None
    assert named("lib.linalg.norm", "other.norm") == "lib.linalg._c.norm"
    assert named("Tree.cut", "lib._b.Tree.grow") == "lib._b.Tree.cut"
    assert named("other.norm", "lib._a.norm") == "other.norm"
    assert named("norm", "lib.linalg._c.norm") is None
    assert named("nothing", "lib._a.norm") is None


@pytest.mark.parametrize("collection", [IN_DOMAIN, WIDER], ids=["summaries", "every kind"])
def test_splits_share_no_cluster_no_positive_no_query_and_no_near_duplicate(collection):
    source = corpus(*collection)
    sides = []
    for rows in source.qrels.values():
        asked = {query_id for query_id, _, _ in rows}
        sides.append(
            {("passage", doc_id) for _, doc_id, _ in rows}
            | {("cluster", source.queries[query_id][1]) for query_id in asked}
            | {("text", source.queries[query_id][0].lower()) for query_id in asked}
        )
    assert sum(map(len, sides)) == len(set.union(*sides))
    passages = [text for _, text in source.docs]
    assert representatives(passages, 0.7) == list(range(len(passages)))
    assert len({doc_id for doc_id, _ in source.docs}) == len(passages)


def test_near_duplicates_are_what_the_definition_says():
    passages = [text for _, text in corpus(*OUT_OF_DOMAIN).docs][:60]
    passages += [" ".join(text.split()[:-4]) for text in passages]
    sets = [shingles(text) for text in passages]
    repeated, kept = representatives(passages, 0.7), []
    for number, own in enumerate(sets):
        alike = [first for first in kept if 10 * len(own & sets[first]) >= 7 * len(own | sets[first])]
        assert repeated[number] in alike if alike else repeated[number] == number
        if not alike:
            kept.append(number)
    assert len(kept) < len(passages)


@pytest.mark.parametrize(
    "collection, origin, expected",
    [
        (
            IN_DOMAIN,
            {"scikit-learn": "1.9.1", "scipy": "1.17.1"},
            "0f94a4a4cf08ece67c1e0cbed11b7c678965e64781784e80e10f97d9af2f5c4b",
        ),
        (
            OUT_OF_DOMAIN,
            {"matplotlib": "3.11.2", "pillow": "13.0.0"},
            "8718ab2049a3a016778db10a1f09c58239f94e1e9f954f87f0813cf0699f9363",
        ),
        (
            WIDER,
            {"networkx": "3.6.1", "numpy": "2.4.6", "scikit-learn": "1.9.1", "scipy": "1.17.1"},
            "e5fad0c84a9da5929f2735ae6ff4fbc8619615bfe5bf2cb758bfbba3b174faf2",
        ),
        (
            WIDER_OUT_OF_DOMAIN,
            {
                "altair": "6.3.0",
                "fonttools": "4.68.0",
                "hypothesis": "6.170.15",
                "matplotlib": "3.11.2",
                "pillow": "13.0.0",
                "pytest": "9.2.0",
            },
            "ae4e02d39380849b33809876fc215789eb74fec5b8b3cf408edd32a4bb008363",
        ),
    ],
)
def test_the_default_corpora_are_the_ones_reported(collection, origin, expected):
    source = corpus(*collection)
    assert source.origin == origin, "other versions than the locked ones: the reported numbers are not of this corpus"
    assert content_hash(source) == expected


def test_bytes_do_not_depend_on_the_hash_seed():
    code = "from tests.test_docstrings import content_hash, read; print(content_hash(read('pillow', {'test': 100})))"
    assert (
        len(
            {
                subprocess.run(
                    [sys.executable, "-c", code],
                    env={**os.environ, "PYTHONHASHSEED": seed},
                    text=True,
                    check=True,
                    capture_output=True,
                ).stdout
                for seed in ("1", "2")
            }
        )
        == 1
    )


def test_a_missing_package_and_a_split_without_a_share_are_named():
    with pytest.raises(UserError, match="package no-such-package is not installed"):
        read("no-such-package", {"test": 100})
    judged = {"dev": JudgedSplit()}
    with pytest.raises(UserError, match="no split is called 'dev'; shares makes: train, test"):
        readers.read(Corpus(source="docstrings:pillow", shares={"train": 50, "test": 50}, judged=judged))
