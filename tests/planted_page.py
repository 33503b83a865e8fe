"""A small study with all inputs of the page, and the page built from them."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from stages import page
from stages.analysis import cause, diagnosis, transfer
from stages.analysis.cause import AnsweredQuestion, Answers, VariantChange
from stages.analysis.cause_abstract import Place, Sentence
from stages.analysis.contrasts import Contrast
from stages.analysis.diagnosis import Diagnosis, Sample
from stages.analysis.geometry import Correlation
from stages.analysis.transfer import Domain, OverSets, Transfer, VariantTransfer
from stages.evaluation import examples, results
from stages.evaluation.examples import Example, Examples, Hit
from stages.evaluation.results import Result
from stages.ledger import checked
from stages.ledger.checked import CheckedClaim, CheckedLedger
from stages.ledger.claims import Finding, Paper
from stages.negatives import hardness
from stages.negatives.hardness import Audit, Figures
from stages.negatives.histograms import GapHistogram, RankHistogram
from stages.reporting.training_logs import SeedRun
from tests import plants
from tests.plants import DEV, IN_DOMAIN, OUT_OF_DOMAIN

VARIANTS = ["bm25", "base", "full-hard", "lora-hard", "coded-hard"]
TUNED = VARIANTS[2:]
VERDICTS = {"bm25": (-0.1, "worse"), "full-hard": (0.004, "cannot tell"), "lora-hard": (0.05, "better")}
EVIL = "</script><script>document.title = 'taken'</script><b>bold</b> & \"quoted\""


def claim(name: str, verdict: str, **changed: Any) -> CheckedClaim:
    known = {
        "id": name,
        "paper": name.split(".")[0],
        "place": "Section IV",
        "rests": "author's draft",
        "says": f"Claim {name}",
        "quantity": "share, %",
        "kind": "said beside the paper" if changed.get("rests") == "thesis" else "claim",
        "stated": "3.9",
        "obtained": "0.649",
        "expected": [3.9],
        "tolerance": [-0.05, 0.05],
        "sign": None,
        "parts": [""],
        "figures": [0.649],
        "verdict": verdict,
        "by": "own figures",
        "why": "It was counted.",
        "how": "a / b",
        "source": "a table",
        "note": None,
    }
    return CheckedClaim(**{**known, **changed})


CLAIMS = CheckedLedger(
    papers={
        "P1": Paper(arxiv="2506.18535", title="A draft", read="v1"),
        "P2": Paper(arxiv="2311.09765", title=EVIL, read="v2"),
    },
    claims=[
        claim("P1.01", "not reproduced"),
        claim("P1.02", "holds", figures=[(3.8, 4.0)], obtained="3.8 to 4", note="as printed"),
        claim("P1.03", "inconsistent within its source", expected=[], figures=[], obtained=None, tolerance=None),
        claim("P2.01", "cannot tell", rests="thesis", says="Zebras are slow"),
        claim("P2.02", "holds", says=EVIL),
        claim("P2.04", "applies", kind="caveat"),
        claim("P2.03", "not tested yet", rests="abstract", figures=[None], obtained=None),
    ],
    findings=[Finding(paper="P1", section="IV", says="It is so", claims={"P1.02": "holds", "P1.01": "not reproduced"})],
)


def measured(variants: list[str], seeds: int) -> list[Result]:
    """Results where variants are chosen and judged, of those that have one: coded-hard has a training log alone."""
    found = []
    for target in (DEV, IN_DOMAIN, OUT_OF_DOMAIN):
        for name in variants:
            if name == "base":
                found.append(plants.result(name, target=target))
            elif name in VERDICTS:
                change, verdict = VERDICTS[name]
                compared = plants.comparison(change, verdict=verdict, queries=40, clusters=12, detectable=0.03)
                compared = replace(compared, low=change - 0.02, high=change + 0.02, better=10, worse=5, equal=25)
                values = {f"seed-{seed}": 0.5 + change + 0.01 * seed for seed in range(seeds)}
                several = {"by_seed_run": values, "spread": 0.01} if name in TUNED and seeds > 1 else {}
                found.append(plants.result(name, compared, target, **several))
    return found


def training_log(variant: str, seeds: int) -> dict[str, Any]:
    losses = [{"step": step, "loss": 2 / step} for step in range(1, 16)]
    log = [{"step": 0, "RR@10": 0.6}, *losses, {"step": 16, "loss": 0.1, "RR@10": 0.7}]
    runs = [SeedRun(seed, 16, 1000, 4000, tensors=9, changed=3, log=log) for seed in range(seeds)]
    return {"variant": variant, "seed_runs": [asdict(run) for run in runs]}


def transferred(variants: list[str], out_of_domain: bool, sets: int) -> Transfer:
    """Each variant but the base 10 % above it, in domain and on `sets` - 1 other sets."""

    def over(name: str) -> OverSets:
        return OverSets([name], 0.55, 0.5, 0.05, 0.03, 0.07, "queries", 1)

    names = ["in_domain", "out_of_domain", "third"][:sets]
    return Transfer(
        measure="RR@10",
        base="base",
        significance=0.05,
        sets={name: [f"{name} test"] for name in (names if out_of_domain else names[:1])},
        passages={},
        similarity={"in_domain": {"in_domain": 1.0, "out_of_domain": 0.25}} if out_of_domain else {},
        variants=[
            VariantTransfer(
                variant=name,
                domain=Domain("fine-tuned", "in_domain" if name in TUNED else None, "in_domain", names[1:]),
                part=None,
                in_domain=over("in_domain"),
                out_of_domain=over("out_of_domain") if out_of_domain else None,
                changes={"in_domain": 10.0, "out_of_domain": 10.0},
                correlation=None,
            )
            for name in variants
        ],
        pairs=[],
    )


def answers() -> Answers:
    """One question of the cause study, with a contrast that is judged and one that was not run."""
    compared = plants.comparison(
        -0.0878, low=-0.127, high=-0.0485, p_family=0.00001, detectable=None, verdict="worse", queries=40, seed_runs=3
    )
    contrasts = [Contrast("b for a", 0.5, compared), Contrast("z", 0.0, lacking="not run")]
    change = VariantChange("a", "base", contrasts[0], [0.1], [0.2], {0: 0.5})
    question = AnsweredQuestion("Is b worse?", "worse", "Yes", contrasts, [None, None])
    return Answers("Planted", "RR@10", "test", [question], [change], {}, [], 128, 4)


def abstract() -> dict[str, Sentence]:
    """One sentence, which holds on the planted collection and was not tried on another."""
    contrasts = [one for one in answers().questions[0].contrasts if one.comparison]
    here, there = Place("here", "a", False, "holds", contrasts), Place("there", "b", False, "not tried", [])
    return {"b": Sentence("b is worse than a", "worse", True, [here, there])}


def audit() -> Audit:
    ranks = RankHistogram((1, 2), 2, 1, 2, 1.5, 1, 0.5, [1, 2, 3], [4, 4])
    return Audit(1, Figures(8, 8, 8, 1, 0.2, 0.1, 0, 0, 0, 1), ranks, GapHistogram([-0.1, 0.0, 0.1], [1, 7]))


def shown() -> Examples:
    """One query that lora-hard gained, with a text that is no HTML."""
    before, after = [Hit(1, "d1", False, "wrong")], [Hit(1, "d2", True, EVIL)]
    one = Example("gain", "q1", 0.9, 12, 1, before, after, "d2", 1, "What is <b>right</b>?", EVIL)
    moves = [[20, 1], [10, 9]]
    target = {"corpus": "in_domain", "split": "test", "measure": "RR@10"}
    found = {"seed_run": "seed-0", "seed_runs": 1, "queries": 40, "gained": 10, "lost": 5}
    texts = {"texts": True, "origin": {"scipy": "1.17.1"}}
    return Examples(target, "base", "lora-hard", **found, bands=["1", "none"], moves=moves, **texts, shown=[one])


def costs() -> list[dict[str, Any]]:
    """What two variants cost, and a search of the third."""
    return [
        {"stage": "train", "name": "lora-hard.seed-0", "train_seconds": 7.0, "peak_rss_mb": 99},
        {"stage": "encode", "name": "lora-hard.in_domain.seed-0", "docs_per_second": 9.0, "test_per_second": 500.0},
        {"stage": "search", "name": "lora-hard.in_domain", "queries_per_second": 1000.0},
        {"stage": "search", "name": "bm25.in_domain", "queries_per_second": 2000.0},
    ]


def write(
    folder: Path, seeds: int = 1, tuned: bool = True, out_of_domain: bool = True, full: bool = True, sets: int = 3
) -> Path:
    """A folder with params.yaml and all inputs of the page; not `full`: no cause, claims or figures of spaces."""
    known = plants.blocks()
    variants = [name for name in VARIANTS if tuned or name not in TUNED]
    target = known["report"]["out_of_domain"] if out_of_domain else None
    plants.write_params(
        folder,
        retrievers={name: known["retrievers"][name] for name in variants},
        rerankers={},
        interpolations={},
        fusions={},
        seeds=list(range(seeds)),
        report={**known["report"], "pairs": [], "out_of_domain": target},
    )
    reports = folder / "reports"
    (reports / "training").mkdir(parents=True)
    for name in variants:
        log = training_log(name, seeds if name in TUNED else 0)
        (reports / f"training/{name}.json").write_text(json.dumps(log))
    spaces = {
        name: {"effective_rank": 200.0 + at, "linear_cka_to_base": 1 - at / 10} for at, name in enumerate(variants)
    }
    spaces.pop("bm25")
    ranked = dict.fromkeys(("effective_rank", "linear_cka_to_base"), Correlation(0.5, 0.2, 3))
    sample = Sample("in_domain", "test", "RR@10", 1, 1, 1, 1, 1, 1)
    compared = plants.comparison(0.05, verdict="better")
    pairs = [plants.pair("lora-hard", "full-hard", compared)] if full and tuned else []
    files = {
        "results": results.as_json(measured(variants, seeds)),
        "pairs": results.as_json(pairs),
        "examples": examples.as_json(shown() if full and tuned else None),
        "diagnosis": diagnosis.as_json(Diagnosis(sample, spaces if full else {}, {}, ranked if full else {})),
        "negatives": json.dumps(hardness.as_json({"hard": audit()})),
        "cause": cause.as_json(cause.Studied(*((abstract(), {"default": answers()}) if full else ({}, {})), 0.05)),
        "claims": checked.as_json(CLAIMS if full else CheckedLedger(papers={}, claims=[], findings=[])),
        "transfer": transfer.as_json(transferred(variants, full and out_of_domain, sets)),
        "costs": json.dumps(costs()),
    }
    for name, content in files.items():
        (reports / f"{name}.json").write_text(content)
    card = {
        "origin": {"scipy": "1"},
        "documents": 1234,
        "splits": {},
        "words_per_passage": 9.0,
        "dropped": {},
        "noted": {},
    }
    for corpus in ("in_domain", "out_of_domain"):
        (folder / "data/corpora" / corpus).mkdir(parents=True)
        (folder / f"data/corpora/{corpus}/card.json").write_text(json.dumps({**card, "fingerprint": "9" * 64}))
    return folder


def build(folder: Path, monkeypatch) -> str:
    """The HTML of the page from a written folder."""
    monkeypatch.chdir(folder)
    figures = ("results", "pairs", "examples", "transfer", "negatives", "diagnosis", "cause", "claims", "costs")
    inputs = {name: f"reports/{name}.json" for name in figures}
    inputs |= {"training": "reports/training", "corpora": "data/corpora", "models": "data/models", "runs": "data/runs"}
    inputs |= {"lock": "dvc.lock", "out": "reports/index.html"}
    done = CliRunner().invoke(page.main, [word for name, path in inputs.items() for word in (f"--{name}", path)])
    assert done.exit_code == 0, done.exception or done.output
    return (folder / "reports/index.html").read_text()
