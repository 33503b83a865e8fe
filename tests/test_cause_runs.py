"""What the cause study collects of a run: per-query values with clusters, and the raw models by distance."""
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from studies.cause import run as cause
from stages import params
from stages.analysis import contrasts
from stages.collections import canonical
from stages.models import encoding
from tests.conftest import ROOT

TEXTS = ["red boats on a river", "a clock in the market", "the king's garden wall", "horses", "a bridge to the north"]
ASKED = ["which boats are red", "where is the clock", "who saw the horses"]


@pytest.fixture
def study():
    found = params.parse(YAML(typ="safe").load(cause._params("in_domain", root=ROOT)))
    return found.model_copy(update={"index": found.index.model_copy(update={"precision": "float32"})})


@pytest.fixture
def folder(tmp_path, tiny_model):
    """A run's folder with a collection of five passages, three queries a split, and the same model for every row."""
    write(tmp_path / "data/corpora/in_domain/docs.parquet", canonical.DOCS,
          [(f"d{at}", text) for at, text in enumerate(TEXTS)])
    lines = []
    for split in ("dev", "test"):
        ids = [f"{split}{at}" for at in range(3)]
        write(tmp_path / f"data/corpora/in_domain/topics/{split}.parquet", canonical.TOPICS,
              [(query, text, f"c{at // 2}") for at, (query, text) in enumerate(zip(ids, ASKED))])
        write(tmp_path / f"data/corpora/in_domain/qrels/{split}.parquet", canonical.QRELS,
              [(query, f"d{2 * at}", 1) for at, query in enumerate(ids)])
        lines += [(row, copy, "in_domain", split, query, f"c{at // 2}", 1 + at, 1 / (1 + at), 0.5)
                  for row, copy in (("base", "pretrained"), ("cos02", "seed-1"), ("cos02", "seed-2"))
                  for at, query in enumerate(ids)]
    names = ["variant", "seed_run", "corpus", "split", "query_id", "cluster", "rank", "RR@10", "nDCG@10"]
    columns = {name: pa.array(list(values)) for name, values in zip(names, zip(*lines))}
    columns |= {name: columns[name].dictionary_encode() for name in ("variant", "seed_run", "corpus", "split", "cluster")}
    (tmp_path / "reports").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "reports/queries.parquet")
    for row in cause.RAW:
        (tmp_path / "data/models" / row).mkdir(parents=True)
        (tmp_path / "data/models" / row / "seed-1").symlink_to(tiny_model)
    return tmp_path


def write(path, schema, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([list(column) for column in zip(*rows)], schema=schema), path)


def test_per_query_values_come_with_clusters_in_the_form_that_contrasts_reads(folder, study):
    cause._per_query(folder, study, folder / "home.parquet")
    (folder / "home.json").write_text('{"part": "in_domain", "cells": {}}')
    table = pq.read_table(folder / "home.parquet")
    assert table.column_names == ["variant", "seed_run", "split", "query_id", "RR@10", "nDCG@10", "cluster"]
    runs = contrasts.read(folder, ["in_domain"])
    assert {row for row, _, _ in runs["values"]} == {"base", "cos02", "raw5/euclidean", "raw02/euclidean"}
    assert runs["values"]["cos02", "test", "RR@10"] == pytest.approx(np.tile([1, 1 / 2, 1 / 3], (2, 1)))
    assert list(runs["clusters"]["dev"]) == ["c0", "c0", "c1"]


def test_raw_models_are_ranked_by_the_distance_of_their_unnormalised_vectors(folder, study, tiny_model):
    model = encoding.load_encoder(tiny_model)

    def raw(text):
        pooled = model[1](model[0](model.tokenizer([text], return_tensors="pt")))
        return pooled["sentence_embedding"][0].detach().numpy()
    passages, queries = (np.stack(list(map(raw, texts))) for texts in (TEXTS, ASKED))
    assert abs(np.linalg.norm(passages, axis=1) - 1).min() > 0.1
    order = np.linalg.norm(queries[:, None] - passages, axis=2).argsort(axis=1)
    ranks = [1 + list(order[at]).index(2 * at) for at in range(3)]
    found = cause._by_distance(folder, study)
    assert [table["variant"][0].as_py() for table in found] == ["raw5/euclidean"] * 2 + ["raw02/euclidean"] * 2
    for table in found:
        assert table["RR@10"].to_pylist() == pytest.approx([1 / rank for rank in ranks])


def test_a_part_without_both_raw_rows_is_not_ranked_by_distance(folder, study):
    assert cause._by_distance(folder, study.model_copy(update={"retrievers": {"raw5": study.retrievers["raw5"]}})) == []
