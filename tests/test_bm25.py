"""BM25: the tie rule of all searches, nothing without a common term, and an index of the same bytes everywhere."""

import os
import subprocess
import sys

import pytest

from stages.retrieval import bm25
from tests.conftest import ROOT


@pytest.mark.parametrize("depth", [1, 5, 50])
def test_ranks_by_score_then_row_number_and_leaves_out_what_shares_no_term(depth, tmp_path):
    bm25.build(["red boat", "boat", "green house", "boat", ""], tmp_path / "bm25", 0.9, 0.4)
    scores, rows = bm25.top_k(["boats", "zebra", ""], tmp_path / "bm25", depth)
    assert rows[0][rows[0] >= 0].tolist() == [1, 3, 0][:depth]
    assert (rows[1:] == -1).all() and scores[0][0] > 0


def test_the_index_is_the_same_bytes_in_every_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from stages.retrieval import bm25; "
        "bm25.build(['red boat of the king', 'boats and a green house', ''], Path(sys.argv[1]), 0.9, 0.4)"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], check=True, env=environment, cwd=ROOT)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert one and one == other
