"""Between a base checkpoint and a trained model: the ends are the ends, and the middle is in the middle."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer

from stages import interpolate
from stages.models import encoding, interpolation
from tests import planted_models
from tests.plants import blocks, write_params

VARIANT = "full-random-mix"
TEXTS = [f"what is the {word} of a number" for word in ("root", "power", "sign", "size", "sum", "mean")]


def far(base, folder):
    """A model with every weight moved from a base's, as a variant's only seed run."""
    model = encoding.load_encoder(base)
    torch.manual_seed(1)
    with torch.no_grad():
        for values in model.parameters():
            values += 0.1 * torch.randn_like(values)
    model.save_pretrained(str(folder / "seed-13"), create_model_card=False)
    shutil.copy(base / "architecture.json", folder / "seed-13")
    return folder


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """The tiny model with every weight moved, as a variant's only seed run."""
    return far(tiny_model, tmp_path_factory.mktemp("trained"))


def weights(folder):
    return interpolation.weights(encoding.load_encoder(folder))


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A working folder with a validation sample of six queries."""
    folder = tmp_path / "triplets/validation"
    folder.mkdir(parents=True)
    queries = {"text": TEXTS, "relevant": [[f"d{at}"] for at in range(6)]}
    pq.write_table(pa.table(queries), folder / "queries.parquet")
    passages = {"doc_id": [f"d{at}" for at in range(6)], "text": [text[8:] for text in TEXTS]}
    pq.write_table(pa.table(passages), folder / "passages.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(study, tiny_model, trained, alphas, triplets="triplets"):
    known = blocks()["interpolations"]
    write_params(study, interpolations={VARIANT: {**known[VARIANT], "alphas": alphas}})
    command = [VARIANT, "--checkpoint", tiny_model, "--trained", trained, "--triplets", triplets]
    return CliRunner().invoke(interpolate.main, [str(word) for word in (*command, "--out", "mix", "--log", "mix.json")])


def test_alpha_0_and_1_are_the_ends_to_the_bit_and_half_is_half_way(tiny_model, trained):
    base, other = weights(tiny_model), weights(trained / "seed-13")
    model = encoding.load_encoder(tiny_model)
    for alpha, wanted in ((1, other), (0, base)):
        interpolation.put_between(model, base, other, alpha)
        assert all(torch.equal(values, wanted[name]) for name, values in model.named_parameters())
    interpolation.put_between(model, base, other, 0.5)
    for name, values in model.named_parameters():
        assert torch.allclose(values, (base[name] + other[name]) / 2)


@pytest.mark.parametrize("alphas", [[0.5, 0.0], [0.5, 1.0], [0.25]])
def test_the_alpha_that_ranks_validation_best_is_taken_and_the_log_has_all(alphas, tiny_model, trained, study):
    done = run(study, tiny_model, trained, alphas)
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((study / "mix.json").read_text())["between"]
    figures = {float(alpha): figure for alpha, figure in entry["RR@10"].items()}
    assert list(figures) == sorted(alphas)
    assert entry["alpha"] == min(alpha for alpha in alphas if figures[alpha] == max(figures.values()))
    wanted = encoding.load_encoder(tiny_model)
    interpolation.put_between(wanted, weights(tiny_model), weights(trained / "seed-13"), entry["alpha"])
    made = encoding.load_encoder(study / "mix/seed-13")
    assert np.array_equal(encoding.encode(made, TEXTS, 512), encoding.encode(wanted, TEXTS, 512))
    assert json.loads((study / "mix/seed-13/recipe.json").read_text()) == {
        "variant": VARIANT,
        "seed_run": "seed-13",
        "checkpoint": "minilm",
        "trained": "full-random",
        "alpha": entry["alpha"],
    }
    assert not (study / "mix/seed-13/README.md").exists()


@pytest.mark.parametrize("kind", ["dense", "two towers"])
def test_every_weight_lies_between_and_settings_stay(kind, tiny_model, study):
    """Also those of Dense layers and of both towers; the folder loads plainly as it was measured."""
    if kind == "dense":
        base = planted_models.rebuilt(tiny_model, study / "base", "dense", similarity="dot")
    else:
        prompts = {"query": "query: ", "passage": "passage: "}
        base = planted_models.copied(tiny_model, study / "base", "asymmetric", prompts=prompts, query_tokens=8)
    other = far(base, study / "trained")
    done = run(study, base, other, [0.25])
    assert done.exit_code == 0, done.output
    mixed, trained = weights(study / "mix/seed-13"), weights(other / "seed-13")
    for name, values in weights(base).items():
        assert torch.allclose(mixed[name], torch.lerp(values, trained[name], 0.25))
    assert planted_models.settings_of(study / "mix/seed-13") == planted_models.settings_of(base)
    plain, loaded = SentenceTransformer(str(study / "mix/seed-13")), encoding.load_encoder(base)
    assert [type(part) for part in plain] == [type(part) for part in loaded]


def test_a_model_of_another_base_is_one_line(tiny_model, trained, study):
    base = planted_models.rebuilt(tiny_model, study / "base", "dense")
    done = run(study, base, trained, [0.5])
    assert done.exit_code == 1 and "seed-13: its weights are not those of the base checkpoint" in done.output


def test_without_a_validation_sample_it_is_one_line(tiny_model, trained, study):
    (study / "none").mkdir()
    done = run(study, tiny_model, trained, [0.5], triplets="none")
    assert done.exit_code == 1 and "none: holds no validation sample" in done.output
