"""One training by two processes against the same by one: the loss of each step, what is written, and a killed process."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import UserError
from stages.training import loop, processes, retriever
from stages.training.reranker import cross_encoder, late_interaction
from tests.plants import seed_run, two_towers

ROWS = 22  # three batches of 6 and one of 4, which two processes share
WORDS = "red old tall small green boat house river tree stone road bird lamp field cloud".split()
FULL = {"kind": "full", "lr": 0.01}


def sentence(draw: np.random.Generator) -> str:
    return " ".join(draw.choice(WORDS, int(draw.integers(2, 9))))


@pytest.fixture(scope="module")
def triplets(tmp_path_factory) -> Path:
    """Triplets of different texts with two negatives, and a teacher's scores of them."""
    draw, rows = np.random.default_rng(1), range(ROWS)
    texts = {
        name: [f"{sentence(draw)} {name[:3]} {row}" for row in rows]
        for name in ("anchor", "positive", "negative", "negative_2")
    }
    names = ("positive_score", "negative_score", "negative_score_2")
    scores = {name: draw.normal(size=ROWS).tolist() for name in names}
    path = tmp_path_factory.mktemp("triplets") / "seed-3.parquet"
    pq.write_table(pa.table(texts | scores), path)
    return path


def steady(model: Path, folder: Path) -> Path:
    """A copy of a model without dropout."""
    shutil.copytree(model, folder)
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        if "hidden_dropout_prob" in config:
            config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
            path.write_text(json.dumps(config))
    return folder


