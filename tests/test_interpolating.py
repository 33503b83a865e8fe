"""Between a start and a trained model: the ends are the ends, and the middle is in the middle."""
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import interpolate
from stages.models import encoding
from stages.models import interpolation
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """The tiny model with every weight moved, as a row's only copy."""
    folder = tmp_path_factory.mktemp("trained")
    model = encoding.load_encoder(tiny_model)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.1 * torch.randn_like(weights)
    model.save_pretrained(str(folder / "seed-13"), create_model_card=False)
    shutil.copy(tiny_model / "architecture.json", folder / "seed-13")
    return folder


def test_alpha_0_and_1_are_the_ends_to_the_bit_and_half_is_half_way(tiny_model, trained):
    start, other = interpolation.ends(tiny_model, trained / "seed-13")
    model = encoding.load_encoder(tiny_model)
    for alpha, wanted in ((1, other), (0, start), (0.5, {name: (start[name] + other[name]) / 2 for name in start})):
        interpolation.put_between(model, start, other, alpha)
        for name, weights in model.named_parameters():
            assert torch.equal(weights, wanted[name]) if alpha != 0.5 else torch.allclose(weights, wanted[name])


@pytest.mark.parametrize("alphas", [[0.0, 0.5], [0.5, 1.0], [0.25]])
def test_the_alpha_that_ranks_validation_best_is_taken_and_the_log_has_all(alphas, tiny_model, trained, tmp_path,
                                                                           monkeypatch):
    texts = [f"what is the {word} of a number" for word in ("root", "power", "sign", "size", "sum", "mean")]
    (tmp_path / "triplets/watch").mkdir(parents=True)
    pq.write_table(pa.table({"text": texts, "relevant": [[f"d{at}"] for at in range(6)]}),
                   tmp_path / "triplets/watch/queries.parquet")
    pq.write_table(pa.table({"doc_id": [f"d{at}" for at in range(6)], "text": [text[8:] for text in texts]}),
                   tmp_path / "triplets/watch/passages.parquet")
    blocks = YAML().load((ROOT / "params.yaml").read_text())
    blocks["interpolations"]["full-random-mix"]["alphas"] = alphas
    with open(tmp_path / "params.yaml", "w") as handle:
        YAML().dump(blocks, handle)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(interpolate.main, ["full-random-mix", "--start", str(tiny_model), "--of", str(trained),
                                                 "--triplets", "triplets", "--out", "mix", "--log", "mix.json"])
    assert done.exit_code == 0, done.output
    found, = json.loads((tmp_path / "mix.json").read_text())["between"]
    looks = {float(alpha): figure for alpha, figure in found["RR@10"].items()}
    assert list(looks) == alphas
    assert found["alpha"] == min(alpha for alpha in alphas if looks[alpha] == max(looks.values()))
    start, other = interpolation.ends(tiny_model, trained / "seed-13")
    made = encoding.load_encoder(tmp_path / "mix/seed-13")
    wanted = encoding.load_encoder(tiny_model)
    interpolation.put_between(wanted, start, other, found["alpha"])
    assert np.array_equal(encoding.encode(made, texts, 512), encoding.encode(wanted, texts, 512))
