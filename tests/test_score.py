"""Triplets with a teacher's scores: what a block holds, against the library's own predict, and what stops it."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import check, params, score
from stages.core.errors import UserError
from stages.models import late_interaction
from stages.models.model_folder import Description
from stages.negatives import teacher as teachers
from tests import plants
from tests.conftest import sharpened

NOUNS = ["boat", "house", "clock", "river"]
KINDS = ["red", "old", "small", "new", "large"]
TEXTS = [f"the {kind} {noun}" for kind in KINDS for noun in NOUNS]


def drawn(seed: int) -> pa.Table:
    """20 triplets with two negatives each, and a pool's scores, the positive of the first one unknown to the pool."""
    numbers = np.random.default_rng(seed).permutation(20)
    names = {"positive": 0, "negative": 1, "negative_2": 2}
    ids = {name: [f"d{(number + at) % 20}" for number in numbers] for name, at in names.items()}
    texts = {name: [TEXTS[(number + at) % 20] for number in numbers] for name, at in names.items()}
    pool = pa.array(np.linspace(0, 1, 20), pa.float32())
    return pa.table(
        {
            "query_id": [f"q{number}" for number in numbers],
            "positive_id": ids["positive"],
            "negative_id": ids["negative"],
            "rank": pa.array([5] * 20, pa.int32()),
            "negative_score": pool,
            "negative_id_2": ids["negative_2"],
            "rank_2": pa.array([6] * 20, pa.int32()),
            "negative_score_2": pool,
            "positive_score": pa.array([None, *[0.5] * 19], pa.float32()),
            "anchor": [f"what is {TEXTS[number]}" for number in numbers],
            **texts,
        }
    )


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage for seeds 1 and 2 with a teacher; returns what it prints, or the one line that it fails with."""
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        (tmp_path / "triplets/validation").mkdir(parents=True, exist_ok=True)
        pq.write_table(drawn(seed), tmp_path / f"triplets/seed-{seed}.parquet")
    (tmp_path / "triplets/validation/queries.parquet").write_bytes(b"the sample")
    plants.write_params(tmp_path, seeds=[1, 2])

    def run(teacher: Path, says=plants.succeeds) -> str:
        return says(score.main, "judged", "--triplets=triplets", f"--teacher={teacher}", "--out=out")

    return run


@pytest.fixture(scope="module")
def models(tiny_cross, tiny_model, tmp_path_factory) -> Path:
    """A reranker's models, a cross-encoder for each seed, and a checkpoint of late interaction."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        sharpened(tiny_cross, folder / f"reranker/seed-{seed}")
    weights = folder / "reranker/seed-2/model.safetensors"
    from safetensors.torch import load_file, save_file

    save_file({name: -value if "classifier" in name else value for name, value in load_file(weights).items()}, weights)
    (folder / "reranker/seed-2/recipe.json").write_text("{}")
    shutil.copytree(tiny_model, folder / "late")
    late_interaction.build(folder / "late", Description("late-interaction", tokens=32))
    return folder


def columns(table: pa.Table, kind: str) -> list[str]:
    return [f"positive{kind}", f"negative{kind}", f"negative{kind}_2"]


def predicted(table: pa.Table, seed: int, models: Path, kind: str) -> np.ndarray:
    """The scores (20, 3) of the same pairs by the library's own methods."""
    import torch
    from sentence_transformers import CrossEncoder, MultiVectorEncoder

    passages = [table[name].to_pylist() for name in columns(table, "")]
    if kind == "reranker":
        model = CrossEncoder(str(models / f"reranker/seed-{seed}"))
        pairs = [list(zip(table["anchor"].to_pylist(), each, strict=True)) for each in passages]
        return np.column_stack([model.predict(each, activation_fn=torch.nn.Identity()) for each in pairs])
    model = MultiVectorEncoder(str(models / "late"))
    asked = model.encode_query(table["anchor"].to_pylist())
    return np.column_stack([model.similarity_pairwise(asked, model.encode_document(each)) for each in passages])


@pytest.mark.parametrize("kind", ["reranker", "late"])
def test_the_scores_are_the_teachers_own_and_nothing_else_changes(kind, stage, models):
    """Of a reranker with a model for each seed the seed's own: the second one's logits are turned here."""
    stage(models / kind)
    for seed in (1, 2):
        before, after = drawn(seed), pq.read_table(f"out/seed-{seed}.parquet")
        assert after.column_names == before.column_names
        scores = columns(after, "_score")
        computed = np.column_stack([after[name].to_numpy() for name in scores])
        expected = predicted(before, seed, models, kind)
        assert computed == pytest.approx(expected, abs=2e-5) and expected.std() > 1e-3
        assert after.drop_columns(scores).equals(before.drop_columns(scores))
    assert Path("out/validation/queries.parquet").read_bytes() == b"the sample"
    assert not [*Path(".scratch/score").glob("*")]


def test_equal_runs_write_equal_bytes_and_blocks_that_are_there_are_not_scored_again(stage, models, tmp_path):
    stage(models / "reranker")
    first = plants.contents(tmp_path / "out")
    stage(models / "reranker")
    assert plants.contents(tmp_path / "out") == first
    calls = []

    def counting(queries, passages):
        calls.append(len(queries))
        return np.arange(len(queries))

    tables = [teachers.by_model(drawn(1), counting, tmp_path) for _ in range(2)]
    assert calls == [60] and (tables[0] == tables[1]).all()
    assert tables[0].tolist() == [[row, 20 + row, 40 + row] for row in range(20)]


def pairs() -> dict[tuple[str, str], float]:
    """Query and passage -> a score, for all pairs of both seeds' triplets."""
    made = {}
    for seed in (1, 2):
        for row in drawn(seed).to_pylist():
            for name in ("positive_id", "negative_id", "negative_id_2"):
                made[row["query_id"], row[name]] = float(len(made))
    return made


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_a_file_of_scores(suffix, stage, tmp_path):
    known = pairs()
    left_out = drawn(1).to_pylist()[3]
    del known[left_out["query_id"], left_out["negative_id_2"]]
    lines = [(query, doc, score) for (query, doc), score in known.items()]
    path = tmp_path / f"scores.{suffix}"
    if suffix == "tsv":
        path.write_text("query_id\tdoc_id\tscore\n" + "".join(f"{q}\t{d}\t{s}\n" for q, d, s in lines))
    else:
        pq.write_table(pa.table(list(zip(*lines, strict=True)), ["query_id", "doc_id", "score"]), path)
    said = stage(path)
    assert "seed 1, 19 of 20 triplets have all scores" in said
    after = pq.read_table("out/seed-1.parquet").to_pylist()
    assert left_out["query_id"] not in {row["query_id"] for row in after}
    for row in after:
        for score_of, name in zip(columns(None, "_score"), columns(None, "_id"), strict=True):
            assert row[score_of] == known[row["query_id"], row[name]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("query_id\tdoc_id\n1\t2\n", "scores.tsv: has no column score; name its columns query_id, doc_id, score"),
        ("query_id\tdoc_id\tscore\nq\td\tx\n", "scores.tsv: a score is no number"),
        ("query_id\tdoc_id\tscore\nq\td\t1\nq\td\t2\n", "scores.tsv: scores query and passage q and d twice"),
        ("query_id\tdoc_id\tscore\nq\td\t1\n", "scores.tsv scores all passages of only 0 of 20 triplets"),
    ],
)
def test_a_file_that_is_no_teacher_stops_with_a_line(text, message, stage, tmp_path):
    (tmp_path / "scores.tsv").write_text(text)
    assert message in stage(Path("scores.tsv"), plants.fails)


def test_a_teacher_without_a_model_of_the_seed_stops(stage, models, tmp_path):
    for seed in (1, 3):
        shutil.copytree(models / "reranker/seed-1", tmp_path / f"other/seed-{seed}")
    said = stage(Path("other"), plants.fails)
    assert "scored.judged.teacher: other has seed-1, seed-3 and none of seed 2; train it again" in said


def test_a_cross_encoder_whose_head_nobody_trained_is_no_teacher(stage, tiny_cross):
    assert "has no trained head (classifier.bias, classifier.weight); train it" in stage(tiny_cross, plants.fails)


BLOCK = {"triplets": "hard", "teacher": "data/checkpoints/late"}
VARIANT = {"checkpoint": "minilm", "tuning": "full", "triplets": "judged", "recipe": "distilled"}


def refused(tmp_path, **changed) -> str:
    """What loading params.yaml says to these blocks, and the recipe of a distilled variant."""
    known = plants.blocks()
    loss = {"kind": "distill-kl", "temperature": 0.05, "teacher_temperature": 1.0}
    recipes = {**known["recipes"], "distilled": {**known["recipes"]["printed"], "loss": loss}}
    blocks = {name: {**known.get(name, {}), **block} for name, block in changed.items()}
    plants.write_params(tmp_path, **{"recipes": recipes, **blocks})
    try:
        params.load(tmp_path / "params.yaml")
    except UserError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    "block, message",
    [
        ({**BLOCK, "triplets": "hrad"}, "scored.judged: no triplets block is called 'hrad'; there are: none, random"),
        (
            {**BLOCK, "teacher": "late"},
            "scored.judged.teacher: must be data/models/<reranker>, data/checkpoints/<name>",
        ),
        (
            {**BLOCK, "teacher": "data/models/base"},
            "scored.judged.teacher: no reranker is called 'base'; there are: la",
        ),
        (
            {**BLOCK, "teacher": "data/checkpoints/minilm"},
            "or late-interaction is called 'minilm'; there are: late, cr",
        ),
        (
            {**BLOCK, "triplets": "judged"},
            "scored.judged: its teacher or the triplets that it scores were made with it",
        ),
        (BLOCK, ""),
        ({**BLOCK, "teacher": "own/scores.tsv"}, ""),
    ],
)
def test_wrong_blocks_are_named(block, message, tmp_path):
    said = refused(tmp_path, scored={"judged": block}, retrievers={"x": VARIANT})
    assert message in said if message else said == ""


def test_a_teacher_that_was_trained_on_what_it_scores_is_a_circle(tmp_path):
    """Directly, and by way of a pool that a pupil of it mined."""
    block = {**BLOCK, "teacher": "data/models/late-random"}
    late = plants.blocks()["rerankers"]["late-random"]
    circle = "scored.judged: its teacher or the triplets that it scores were made with it; name others"
    said = refused(tmp_path, scored={"judged": block}, rerankers={"late-random": {**late, "triplets": "judged"}})
    assert circle in said
    mined = {"corpus": "in_domain", "from": "pools/own", "ranks": [1, 50], "size": 256}
    said = refused(
        tmp_path,
        scored={"judged": block},
        retrievers={"x": VARIANT},
        pools={"own": {"retriever": "x", "corpus": "in_domain", "depth": 50}},
        triplets={"mined": mined},
        rerankers={"late-random": {**late, "triplets": "mined"}},
    )
    assert "made with it" in said or "itself is trained on this pool" in said
    assert refused(tmp_path, scored={"judged": block}, retrievers={"x": VARIANT}) == ""


def test_a_file_of_scores_that_is_not_there_is_found_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plants.write_params(tmp_path, scored={"judged": {**BLOCK, "teacher": "own/scores.tsv"}})
    with pytest.raises(UserError, match=r"scored.judged.teacher: there is no file own/scores.tsv below"):
        check.check_teachers(params.load(tmp_path / "params.yaml"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/scores.tsv").touch()
    check.check_teachers(params.load(tmp_path / "params.yaml"))


def test_a_loss_that_needs_a_teacher_says_so(tmp_path):
    said = refused(tmp_path, scored={"judged": BLOCK}, retrievers={"x": {**VARIANT, "triplets": "hard"}})
    assert said.endswith("the loss distill-kl needs a teacher's scores; name a block of scored, not triplets.hard")
