"""A model measured by several processes at once, however few pairs there are for them."""

from types import SimpleNamespace

import pytest

from stages import params
from stages.core.errors import UserError
from stages.planning import clocked, measuring
from stages.planning.facts import Pair
from stages.planning.measuring import Work
from tests.conftest import ROOT

TEXTS = [f"passage {at} of a few words" for at in range(7)]


@pytest.mark.parametrize(("pairs", "jobs", "trains"), [(2, 3, True), (0, 1, False)])
def test_every_process_has_a_pair_to_train_on_or_none_trains(pairs, jobs, trains, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    work = Work(str(tiny_model), 32, 32, "float32", 1, 2048, trains=True)
    found = [Pair(f"q{at}", f"what of {at}", [TEXTS[at]]) for at in range(pairs)]
    rates, ranks = measuring.rates(work, tmp_path / "measured", jobs, found, TEXTS, 7)
    assert len(list((tmp_path / "measured").glob("measured-*.json"))) == (pairs or jobs)
    assert len(ranks) == pairs and rates.encoded == 7 + pairs and rates.queries > 0
    assert (rates.triplets is not None) == trains


def test_a_collection_without_pairs_gives_no_rates(monkeypatch):
    monkeypatch.setattr(clocked.readers, "read", lambda corpus: None)
    monkeypatch.setattr(clocked.facts, "read", lambda source, name: SimpleNamespace(pairs=[]))
    with pytest.raises(UserError, match=r"corpora.in_domain: no query has a relevant passage"):
        clocked.measured(params.load(ROOT / "params.yaml"))


@pytest.mark.parametrize("paper", ["2311.09765", "2506.18297", "2506.18535"])
def test_the_model_that_is_measured_has_weights(paper):
    study = params.load(ROOT / f"studies/papers/{paper}.yaml")
    named = study.checkpoints[study.retrievers[study.report.base].checkpoint]
    chosen = clocked.base(study)
    assert chosen.source != "bm25s" and (chosen == named or named.source == "bm25s" or study.base)
