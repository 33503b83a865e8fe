"""The pictures of the page that the small planted study has no data for: trials, training size, queries' times."""

import json

import pytest

from stages import params
from stages.negatives.hardness import Audit, Figures
from stages.negatives.histograms import GapHistogram, RankHistogram
from stages.reporting import query_costs
from stages.reporting.page import histograms, trained, transfers, vega
from stages.reporting.training_logs import Search, SeedRun, TrainingLog
from stages.training.trials import Trial
from tests import plants
from tests.planted_page import transferred
from tests.plants import IN_DOMAIN
from tests.test_growth import study as grown


def fields(chart: vega.Spec, *names: str) -> list[tuple]:
    return [
        tuple(record[name] for name in names)
        for layer in vega.records(chart)
        for record in layer
        if all(name in record for name in names)
    ]


def test_the_curve_over_training_size_has_a_point_a_variant_and_the_base(tmp_path):
    study = grown(tmp_path, half=0.5, quarter=0.25)
    names = ("on-quarter", "on-half", "full-hard")
    results = [plants.result("base", target=IN_DOMAIN)]
    for at, name in enumerate(names):
        compared = plants.comparison(0.01 * at, low=0.01 * at - 0.02, high=0.01 * at + 0.02)
        results.append(plants.result(name, compared, IN_DOMAIN))
    section = trained.growing(study, results, [])
    chart = section["charts"]["chart-growth-0"]
    points = list(dict.fromkeys(fields(chart, "variant", "triplets", "value", "low")))
    assert points == [("on-quarter", 64, 0.5, 0.48), ("on-half", 128, 0.51, 0.49), ("full-hard", 256, 0.52, 0.5)]
    assert fields(chart, "at") == [(0.5,)]
    panels = section["pictures"]["figures/growth.png"]
    assert [panel["id"] for panel in panels] == list(section["charts"])


def test_each_setting_of_a_search_has_its_trials_and_what_they_are():
    trials = [
        Trial(0, {"lr": 1e-4, "recipe.loss": "a"}, "complete", 0.5, {8: 0.4, 16: 0.5}),
        Trial(1, {"lr": 1e-3, "recipe.loss": "b"}, "complete", 0.6, {16: 0.6}),
        Trial(2, {"lr": 1e-2, "recipe.loss": "b"}, "pruned", None, {8: 0.3}),
    ]
    space = {"lr": {"low": 1e-5, "high": 1e-2, "log": True}, "recipe.loss": {"choices": ["a", "b"]}}
    search = Search("full-hard", 13, {"queries": 9, "passages": 99}, 0, 1, space, trials)
    rate, loss = (trained._trials(search, place) for place in space)
    kinds = ["the setting of full-hard", "chosen", "ended early"]
    assert fields(rate, "value", "validation", "kind") == list(zip([1e-4, 1e-3, 1e-2], [0.5, 0.6, 0.3], kinds))
    assert [value for (value,) in fields(loss, "value")] == ["a", "b", "b"]
    assert rate["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert loss["layer"][0]["encoding"]["x"]["type"] == "nominal"


def test_variants_of_one_checkpoint_share_their_time_and_parts_add_up(tmp_path):
    known = plants.blocks()
    retrievers = {name: known["retrievers"][name] for name in ("bm25", "base", "full-hard", "lora-hard")}
    fusions = {"both": {"kind": "rrf", "of": ["bm25", "base"], "k": 60}}
    blocks = {"retrievers": retrievers, "fusions": fusions, "interpolations": {}, "pools": known["pools"]}
    plants.write_params(tmp_path, **blocks, report={**known["report"], "pairs": []})
    study = params.load(tmp_path / "params.yaml")
    rates = {"base": 100.0, "full-hard": 500.0, "lora-hard": 250.0}
    recorded = [
        {"stage": "encode", "name": f"{name}.in_domain.seed-13", "test_per_second": rate}
        for name, rate in rates.items()
    ]
    recorded += [{"stage": "search", "name": f"{name}.in_domain", "queries_per_second": 1000.0} for name in retrievers]
    recorded += [{"stage": "fuse", "name": "both", "queries_per_second": 2000.0}]
    recorded += [{"stage": "rerank", "name": name, "pairs_per_second": 100.0} for name in study.rerankers]
    apart = TrainingLog("lora-hard", [SeedRun(13, 1, 1, 1, 1, 1, [], unmerged=True)])
    times = query_costs.milliseconds(study, recorded, {}, IN_DOMAIN)
    assert times["bm25"] == 1 and times["base"] == times["full-hard"] == times["lora-hard"] == 5
    assert times["both"] == pytest.approx(1 + 5 + 0.5)
    for name, block in study.rerankers.items():
        assert times[name] == pytest.approx(times[block.first_stage] + 10 * study.rerank.depth)
    unmerged = query_costs.milliseconds(study, recorded, {"lora-hard": apart}, IN_DOMAIN)
    assert unmerged["lora-hard"] == 5 and unmerged["base"] == pytest.approx((11 + 3) / 2)


def test_histograms_share_their_scales_and_are_shares():
    gaps = GapHistogram([-0.1, 0.0, 0.1], [1, 3])
    ranks = RankHistogram((1, 2), 2, 1, 2, 1.5, 1, 0.5, [1, 2, 3], [1, 1])
    nothing = RankHistogram(None, 0, None, None, None, None, None, [], [])
    figures = Figures(4, 4, 4, 1, 0.2, 0.25, 0, 0, 0, 0)
    section = histograms.section({"a": Audit(1, figures, ranks, gaps), "b": Audit(1, figures, nothing, gaps)})
    assert list(section["charts"]) == ["chart-ranks-0", "chart-gaps-0", "chart-gaps-1"]
    chart = section["charts"]["chart-gaps-1"]
    assert fields(chart, "share", "side") == [(25, "below"), (75, "above")]
    assert chart["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 75]
    assert section["blocks"][1]["panels"] == [{"id": "chart-gaps-1", "says": "mean 0.20, 25.0 % below 0"}]


def test_several_sets_have_a_picture_of_both_changes():
    section = transfers.section(transferred(["base", "full-hard"], True, 3), {})
    chart = section["charts"]["chart-transfer"]
    assert set(fields(chart, "variant", "x", "y")) == {("full-hard", 10, 10)}
    assert "config" not in json.dumps(chart)[:20] and section["forgetting"]
