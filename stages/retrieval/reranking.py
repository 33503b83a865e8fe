"""A first stage's run, reranked block by block; blocks survive a kill."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core import space
from stages.core.files import publish
from stages.params.report import Rerank
from stages.retrieval import candidates, ranking, runs

PAIRS = 4096  # at most so many in a block, which is scored and stored as a whole
Tick = Callable[[int], None]
Score = Callable[[list[str], list[str], Tick], np.ndarray]  # queries, passages, tick -> a number for each pair


@dataclass(frozen=True)
class Inputs:
    """The files that a run is made from: the first stage's run, the passages and the queries."""

    first_stage: Path
    docs: Path
    topics: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.first_stage, self.docs, self.topics


def score_blocks(inputs: Inputs, score: Score, settings: Rerank, work: Path, label: str) -> int:
    """Write the blocks that `work` lacks, each a part of the run; returns the number of pairs that were scored.

    A block holds whole queries, reranked, and below them what the first stage ranks below `depth`. The names of the
    files sort in the order of the run. Raises UserError for a passage that the corpus does not have.
    """
    from tqdm import tqdm

    topics = pq.read_table(inputs.topics, columns=["query_id", "text"]).to_pydict()
    queries = dict(zip(topics["query_id"], topics["text"], strict=True))
    sample = candidates.sample(queries, settings.queries, settings.seed)
    pairs = candidates.top(runs.read(inputs.first_stage), sample, settings.depth)
    blocks = {work / f"{at:06d}.parquet": block for at, block in enumerate(candidates.blocks(pairs, PAIRS))}
    missing = {path: block for path, block in blocks.items() if not path.exists()}
    if not missing:
        return 0
    space.require(work, runs.LINE * pq.read_metadata(inputs.first_stage).num_rows, "the reranked passages")
    passages = candidates.passages(inputs.docs, pairs["doc_id"])
    numbers = {passage: number for number, passage in enumerate(passages["doc_id"].to_pylist())}
    places = ranking.places(passages["doc_id"])
    rest = candidates.below(runs.read(inputs.first_stage), sample, settings.depth)
    count = sum(map(len, missing.values()))
    with tqdm(total=len(pairs), initial=len(pairs) - count, desc=label, unit="pair", mininterval=2) as bar:
        for path, block in missing.items():
            rows = np.array([numbers[passage] for passage in block["doc_id"].to_pylist()])
            texts = passages["text"].take(pa.array(rows)).to_pylist()
            scores = score([queries[query] for query in block["query_id"].to_pylist()], texts, bar.update)
            with publish(path) as draft:
                runs.write([candidates.append(candidates.best_first(block, scores, places[rows]), rest)], draft)
    return count


def write_run(work: Path, target: Path) -> None:
    """Put the finished blocks of `work` together as a run; without blocks it is one of no lines."""
    target.parent.mkdir(parents=True, exist_ok=True)
    runs.write(map(pq.read_table, sorted(work.glob("*.parquet"))), target)
