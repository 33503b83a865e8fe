"""The cause study as we ship it, and what its runner collects of a run: values, training, spaces, raw models."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.analysis import study_runs
from stages.analysis.cause_questions import Questions
from stages.collections import canonical
from stages.core import fingerprint, yaml_file
from stages.models import encoding
from studies import collecting
from studies.cause import by_distance
from studies.cause import run as cause
from tests import plants
from tests.conftest import ROOT

TEXTS = ["red boats on a river", "a clock in the market", "the king's garden wall", "horses", "a bridge to the north"]
ASKED = ["which boats are red", "where is the clock", "who saw the horses"]


@pytest.fixture
def study():
    default = cause.study_of("default", ROOT)
    index = default.index.model_copy(update={"precision": "float32"})
    kept = {name: default.retrievers[name] for name in ("bm25", "base", "cos02", *by_distance.RAW)}
    return default.model_copy(update={"index": index, "retrievers": kept})


@pytest.fixture
def folder(tmp_path, tiny_model):
    """A run's folder with a collection of five passages, three queries a split, and one model for all raw variants."""
    corpus = tmp_path / "data/corpora/in_domain"
    write(corpus / "docs.parquet", canonical.DOCS, [(f"d{at}", text) for at, text in enumerate(TEXTS)])
    lines = []
    for split in ("dev", "test"):
        ids = [f"{split}{at}" for at in range(3)]
        topics = [(query, text, f"c{at // 2}") for at, (query, text) in enumerate(zip(ids, ASKED, strict=True))]
        write(corpus / f"topics/{split}.parquet", canonical.TOPICS, topics)
        qrels = [(query, f"d{2 * at}", 1) for at, query in enumerate(ids)]
        write(corpus / f"qrels/{split}.parquet", canonical.QRELS, qrels)
        lines += [
            (variant, seed_run, "in_domain", split, query, f"c{at // 2}", 1 + at, 1 / (1 + at), 0.5)
            for variant, seed_run in (("base", "pretrained"), ("cos02", "seed-1"), ("cos02", "seed-2"))
            for at, query in enumerate(ids)
        ]
    names = ["variant", "seed_run", "corpus", "split", "query_id", "cluster", "rank", "RR@10", "nDCG@10"]
    columns = dict(zip(names, map(list, zip(*lines, strict=True)), strict=True))
    plants.write_table(tmp_path / "reports/queries.parquet", columns)
    for variant in by_distance.RAW:
        (tmp_path / "data/models" / variant).mkdir(parents=True)
        (tmp_path / "data/models" / variant / "seed-1").symlink_to(tiny_model)
    return tmp_path


def write(path, schema, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema), path)


def unit(*vectors):
    return np.array(vectors, dtype=np.float32) / np.linalg.norm(vectors, axis=1, keepdims=True)


def train(folder, variant, vectors) -> None:
    """Indexes, log and triplets of one variant, one seed run for each array of vectors of the passages."""
    log = [{"step": step, "loss": 1 / step, **({"RR@10": 0.5} if step in (1, 9) else {})} for step in range(1, 17)]
    seed_runs = []
    for seed, passages in enumerate(vectors, 1):
        for name, part in (("docs", passages), ("topics/test", passages[:3])):
            path = folder / f"data/indexes/{variant}/in_domain/seed-{seed}/{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, part)
        seed_runs.append({"seed": seed, "steps": 16, "trainable": 7, "log": log})
        (folder / "data/triplets/hard").mkdir(parents=True, exist_ok=True)
        (folder / f"data/triplets/hard/seed-{seed}.parquet").write_bytes(f"triplets of {seed}".encode())
    (folder / "reports/training").mkdir(parents=True, exist_ok=True)
    (folder / f"reports/training/{variant}.json").write_text(json.dumps({"seed_runs": seed_runs}))


def test_training_and_spaces_are_collected_from_logs_and_indexes(folder, study):
    base = unit([1, 0], [0, 1], [1, 1], [2, 1], [1, 3])
    turned = base[:, ::-1] * np.float32([1, -1])  # a quarter turn: cosine 0 to the base, and the same space
    (folder / "data/indexes/base/in_domain/pretrained").mkdir(parents=True)
    np.save(folder / "data/indexes/base/in_domain/pretrained/docs.npy", base)
    train(folder, "cos02", [base, turned])
    only = study.model_copy(update={"retrievers": {name: study.retrievers[name] for name in ("bm25", "base", "cos02")}})
    collected = collecting.variants(folder, only)
    assert list(collected) == ["base", "cos02"]  # BM25 has no vectors
    assert collected["base"]["seed_runs"] == {} and collected["cos02"]["base"] == "base"
    assert collected["cos02"]["batch"] == 4 and collected["cos02"]["loss"]["margin"] == 0.2
    same, other = collected["cos02"]["seed_runs"].values()
    assert same["cosine_to_base"] == pytest.approx(1) and other["cosine_to_base"] == pytest.approx(0, abs=1e-6)
    assert same["geometry"]["linear_cka_to_base"] == other["geometry"]["linear_cka_to_base"] == pytest.approx(1)
    assert same["last_loss"] == pytest.approx(np.mean([1 / step for step in range(9, 17)]), abs=1e-6)
    assert same["validation"] == {1: 0.5, 9: 0.5} and same["steps"] == 16
    assert same["triplets"] == fingerprint.of_file(folder / "data/triplets/hard/seed-1.parquet") != other["triplets"]


def test_a_part_is_written_as_the_analysis_reads_it(folder, study):
    values = pa.concat_tables([collecting.per_query(folder, study), *by_distance.per_query(folder, study)])
    header = {"part": "default", "commit": "f" * 40, "versions": {}, "threads": "1"}
    collecting.write(folder / "out", "default", {**header, "variants": {}}, values)
    runs = study_runs.read(folder / "out", ["default"])
    assert {variant for variant, _, _ in runs.values} == {"base", "cos02", "raw5/euclidean", "raw02/euclidean"}
    assert runs.values["cos02", "test", "RR@10"] == pytest.approx(np.tile([1, 1 / 2, 1 / 3], (2, 1)))
    assert list(runs.clusters["dev"]) == ["c0", "c0", "c1"]


def test_the_study_of_a_clone_is_the_one_that_it_ran(folder, monkeypatch):
    (folder / "params.yaml").write_text(cause.text_of("default", "7,8", ROOT))
    read = []
    monkeypatch.setattr(cause.collecting, "header", lambda *_: {})
    monkeypatch.setattr(cause.collecting, "variants", lambda folder, study: read.append(study) or {})
    monkeypatch.setattr(cause.collecting, "write", lambda *_: None)
    cause.collect.callback("default", folder, folder / "out")
    assert read[0].seeds == [7, 8]


def test_raw_models_are_ranked_by_the_distance_of_their_unnormalised_vectors(folder, study, tiny_model):
    model = encoding.load_encoder(tiny_model)

    def raw(text):
        pooled = model[1](model[0](model.tokenizer([text], return_tensors="pt")))
        return pooled["sentence_embedding"][0].detach().numpy()

    passages, queries = (np.stack(list(map(raw, texts))) for texts in (TEXTS, ASKED))
    assert abs(np.linalg.norm(passages, axis=1) - 1).min() > 0.1
    order = np.linalg.norm(queries[:, None] - passages, axis=2).argsort(axis=1)
    ranks = [1 + list(order[at]).index(2 * at) for at in range(3)]
    tables = list(by_distance.per_query(folder, study))
    assert [table["variant"][0].as_py() for table in tables] == ["raw5/euclidean"] * 2 + ["raw02/euclidean"] * 2
    for table in tables:
        assert table["RR@10"].to_pylist() == pytest.approx([1 / rank for rank in ranks])


def test_a_part_without_both_raw_variants_is_not_ranked_by_distance(folder, study):
    one = study.model_copy(update={"retrievers": {"raw5": study.retrievers["raw5"]}})
    assert list(by_distance.per_query(folder, one)) == []


def test_other_seeds_change_the_seeds_alone():
    from ruamel.yaml import YAML

    texts = (cause.text_of("default", root=ROOT), cause.text_of("default", "1,2,3", ROOT))
    first, second = (YAML(typ="safe").load(text) for text in texts)
    assert second.pop("seeds") == [1, 2, 3] and first.pop("seeds") == [13, 14, 15] and first == second


def test_the_study_we_ship_parses_and_its_questions_name_its_variants():
    variants = {part: cause.study_of(part, ROOT).retrievers for part in cause.PARTS}
    questions = yaml_file.read(ROOT / "studies/cause/questions.yaml", Questions)
    for collection in questions.collections.values():
        known = {f"{name}{by}" for part in collection.parts for name in variants[part] for by in ("", "/euclidean")}
        asked = questions.questions[collection.questions]
        sides = [side for question in asked for pair in question.pairs for side in (pair.variant, pair.against)]
        assert {name for side in sides for name in questions.members(side)} <= known


@pytest.mark.parametrize("part", cause.PARTS)
def test_the_runs_that_we_ship_are_of_the_variants_that_we_ship(part):
    retrievers = cause.study_of(part, ROOT).retrievers
    table = pq.read_table(ROOT / f"reports/cause/{part}.parquet", columns=["variant"])
    assert {name.removesuffix("/euclidean") for name in set(table["variant"].to_pylist())} == retrievers.keys()
    trained = json.loads((ROOT / f"reports/cause/{part}.json").read_text())["variants"]
    assert trained.keys() == {name for name, block in retrievers.items() if block.checkpoint != "bm25"}
