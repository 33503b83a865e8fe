"""An equal small sweep of learning rates, judged on dev: where the rates of the default study's tunings come from.

`python -m studies.rates` needs what `dvc repro` made: the collection, the base checkpoint and the triplets. It trains
each method at each rate with the first seed, and prints and keeps RR@10 on the dev queries; test is not looked at.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.core import threads
from stages.core.files import publish
from stages.models import encoding, precision
from stages.params.study import Study
from stages.params.variants import Retriever
from stages.retrieval import dense
from stages.training import loop, retriever, seed_runs
from stages.training.validation import mean_reciprocal_rank
from studies import collecting

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SPLIT = "dev"
DATA = Path("data")


@dataclass(frozen=True)
class Method:
    """What is trained, by the names of its blocks, and at which rates."""

    name: str
    tuning: str
    triplets: str
    recipe: str
    rates: tuple[float, ...]


METHODS = (
    Method("full, mined negatives in the batch", "in-batch-full", "hard", "in-batch", (3e-5, 1e-4, 3e-4)),
    Method("full, hard triplets", "full", "hard", "printed", (1e-5, 3e-5, 1e-4)),
    Method("LoRA, hard triplets", "lora", "hard", "printed", (3e-4, 1e-3, 3e-3)),
)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="studies/rates.json", show_default=True)
def main(out: Path) -> None:
    """Train each method at each rate, but for what OUT holds already, and measure it on dev."""
    study = params.load()
    threads.limit(study.threads)
    base = DATA / "checkpoints" / "minilm"
    drawn = [DATA / "triplets" / method.triplets for method in METHODS]
    collecting.require(DATA / "corpora" / study.report.in_domain.corpus, base, *drawn)
    found = json.loads(out.read_text()) if out.is_file() else []
    done = {(entry["method"], entry["rate"]) for entry in found}
    if ("base", None) not in done:
        found.append({"method": "base", "rate": None, "RR@10": _on_dev(encoding.load_encoder(base), study)})
    for method in METHODS:
        for rate in method.rates:
            if (method.name, rate) not in done:
                found.append({"method": method.name, "rate": rate, "RR@10": _trained(method, rate, study, base)})
                with publish(out) as draft:
                    draft.write_text(json.dumps(found, indent=1) + "\n")
    for entry in found:
        click.echo(f"{entry['method']}, {entry['rate'] or '-'}: {entry['RR@10']:.4f}")


def _trained(method: Method, rate: float, study: Study, base: Path) -> float:
    """RR@10 on dev of a method that was trained at a rate with the study's first seed."""
    tuning = study.tunings[method.tuning].model_copy(update={"lr": rate})
    of_rate = study.model_copy(update={"tunings": {**study.tunings, method.tuning: tuning}, "seeds": study.seeds[:1]})
    block = Retriever(checkpoint="minilm", tuning=method.tuning, triplets=method.triplets, recipe=method.recipe)
    (run,) = seed_runs.of_variant(of_rate, "rates", block, base, DATA / "triplets" / method.triplets)
    with tempfile.TemporaryDirectory() as work:
        loop.train(run, Path(work), retriever.prepare, retriever.deployed)
        return _on_dev(encoding.load_encoder(Path(work) / "model"), study)


def _on_dev(model: SentenceTransformer, study: Study) -> float:
    """RR@10 of a retriever on the dev queries of the collection in domain."""
    collection, index = DATA / "corpora" / study.report.in_domain.corpus, study.index
    docs = pq.read_table(collection / "docs.parquet", columns=["doc_id", "text"]).to_pydict()
    topics = canonical.topics(collection, SPLIT).to_pydict()
    judged = canonical.qrels(collection, SPLIT).to_pandas()
    relevant = judged[judged["grade"] > 0].groupby("query_id")["doc_id"].agg(set)
    computed_in = precision.chosen(index.precision)
    queries = encoding.encode(model, topics["text"], index.batch_tokens, computed_in, role="query")
    passages = encoding.encode(model, docs["text"], index.batch_tokens, computed_in)
    scores, rows = dense.top_k(queries, passages, 10, study.search.block)
    found = [[docs["doc_id"][row] in relevant[query] for row in best] for query, best in zip(topics["query_id"], rows)]
    return round(mean_reciprocal_rank(scores, np.array(found)), 6)


if __name__ == "__main__":
    main()
