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
from stages.collections.readers.docstrings.harvest import harvest
from stages.collections.readers.docstrings.pairs import collect
from stages.collections.readers.docstrings.prose import summary_and_narrative
from stages.collections.source import Source
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit

IN_DOMAIN = "scikit-learn,scipy", (("train", 40), ("dev", 10), ("test", 50))
OUT_OF_DOMAIN = "matplotlib,pillow", (("test", 100),)


def read(packages: str, shares: dict[str, int]) -> Source:
    """All splits of a corpus of packages, its passages in a list."""
    judged = {split: JudgedSplit() for split in shares if split != "train"}
    train = "train" if "train" in shares else None
    corpus = Corpus(source=f"docstrings:{packages}", shares=shares, train=train, judged=judged)
    source = readers.read(corpus)
    return replace(source, docs=list(source.docs))


@cache
def corpus(packages: str, shares: tuple[tuple[str, int], ...]) -> Source:
    return read(packages, dict(shares))


def content_hash(source: Source) -> str:
    lines = ["\t".join(doc) for doc in source.docs]
    lines += [f"{query_id}\t{text}\t{cluster}" for query_id, (text, cluster) in source.queries.items()]
    lines += [
        f"{split}\t{query_id}\t{doc_id}\t{grade}"
        for split, rows in source.qrels.items()
        for query_id, doc_id, grade in rows
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def harvested(folder, files: dict[str, str], shares: dict[str, int]) -> Source:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    objects = harvest([(f"fake/{name}", folder / name) for name in sorted(files)], Counter())
    source = collect(objects, shares, Counter(), {})
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


def test_splits_share_no_cluster_no_positive_no_query_and_no_near_duplicate():
    source = corpus(*IN_DOMAIN)
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
    "packages, shares, origin, expected",
    [
        (
            *IN_DOMAIN,
            {"scikit-learn": "1.9.1", "scipy": "1.17.1"},
            "0f94a4a4cf08ece67c1e0cbed11b7c678965e64781784e80e10f97d9af2f5c4b",
        ),
        (
            *OUT_OF_DOMAIN,
            {"matplotlib": "3.11.2", "pillow": "13.0.0"},
            "8718ab2049a3a016778db10a1f09c58239f94e1e9f954f87f0813cf0699f9363",
        ),
    ],
)
def test_the_default_corpora_are_the_ones_reported(packages, shares, origin, expected):
    source = corpus(packages, shares)
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
