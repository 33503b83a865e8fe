"""Each query's own passages, reranked: files of MS MARCO v1.1's layout, and the library's scores of the same pairs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from stages.core.errors import UserError
from stages.models import model_folder
from studies import question_answering
from studies.question_answering import Asked
from tests.conftest import ROOT, sharpened
from tests.plants import fails

ROWS = [
    ("red boats", ["a clock", "red boats on a river", "the garden"], [0, 1, 0]),
    ("who saw horses", ["horses and a king", "a bridge"], [0, 0]),
    ("where is the clock", ["the clock is in the market", "boats", "a wall", "a river"], [0, 0, 0, 1]),
]


@pytest.fixture
def folder(tmp_path):
    """Two files as the hub has them: passages is a struct of lists, and there are columns that nobody reads."""
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        passages = [
            {"is_selected": selected, "passage_text": texts, "url": ["u"] * len(texts)} for _, texts, selected in rows
        ]
        table = pa.table({"answers": [["yes"]] * len(rows), "passages": passages, "query": [row[0] for row in rows]})
        pq.write_table(table, tmp_path / f"validation-{number:05}-of-00002.parquet")
    return tmp_path


def test_rows_are_read_file_by_file(folder, tmp_path):
    assert list(question_answering.read(folder)) == [Asked(*row) for row in ROWS]
    with pytest.raises(UserError, match="has no validation"):
        list(question_answering.read(tmp_path / "no"))
    pq.write_table(pa.table({"text": ["a"]}), folder / "validation-00000-of-00002.parquet")
    with pytest.raises(UserError, match="has no columns query and passages"):
        list(question_answering.read(folder))
    pq.write_table(pa.table({"query": ["q"], "passages": ["a clock"]}), folder / "validation-00000-of-00002.parquet")
    with pytest.raises(UserError, match="passages holds no passage_text and is_selected"):
        list(question_answering.read(folder))
    (folder / "validation-00000-of-00002.parquet").write_text("<html>")
    with pytest.raises(UserError, match=r"00000-of-00002.parquet: cannot be read as parquet"):
        list(question_answering.read(folder))


def test_a_folder_that_is_no_cross_encoders_is_refused_before_anything_is_read(folder, tmp_path):
    (tmp_path / "late/seed-3").mkdir(parents=True)
    assert "late: has no architecture.json; name one seed's folder" in fails(
        question_answering.main, folder, tmp_path / "late"
    )
    model_folder.write(model_folder.Description("late-interaction"), tmp_path / "late/seed-3")
    assert "/late/seed-3\n" in fails(question_answering.main, folder, tmp_path / "late")
    said = fails(question_answering.main, folder, tmp_path / "late/seed-3")
    assert "late/seed-3: is of architecture late-interaction; name a cross-encoder" in said


def test_only_ten_count_ties_keep_their_order_and_none_selected_is_0():
    asked = [
        Asked("q", ["p"] * 12, [False] * 11 + [True]),
        Asked("q", ["p"] * 3, [False, True, True]),
        Asked("q", ["p"], [False]),
    ]
    equal = [np.zeros(12), np.zeros(3), np.zeros(1)]
    assert question_answering.reciprocal_ranks(asked, equal) == [0, 1 / 2, 0]
    best = [np.arange(12.0), np.array([0.1, 0.2, 0.3]), np.zeros(1)]
    assert question_answering.reciprocal_ranks(asked, best) == [1, 1, 0]


def test_the_figure_is_that_of_the_librarys_own_scores(folder, tiny_cross, tmp_path, monkeypatch):
    from sentence_transformers import CrossEncoder

    sharpened(tiny_cross, tmp_path / "model")
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(question_answering.main, [str(folder), str(tmp_path / "model")])
    library, expected = CrossEncoder(str(tmp_path / "model")), []
    for query, texts, selected in ROWS:
        ranked = sorted(
            zip(library.predict([(query, text) for text in texts]), selected, strict=True), key=lambda x: -x[0]
        )
        expected.append(next((1 / rank for rank, (_, hit) in enumerate(ranked, 1) if hit), 0))
    assert (
        f"MRR@10 {np.mean(expected):.4f}, over queries with a selected passage {sum(expected) / 2:.4f}" in done.output
    )
    assert "3 queries, 2 with a selected passage; P2 prints 0.5988 as the best" in done.output
    assert f"random order, of one selected passage: {(11 / 18 + 25 / 48) / 2:.4f}" in done.output
