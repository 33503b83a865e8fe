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


def missing(inputs: Inputs, settings: Rerank, work: Path, size: int) -> tuple[dict[Path, int], int]:
    """The blocks that `work` lacks with the number of pairs in each, and how many pairs all blocks have.

    A block holds whole queries of at most `size` pairs, reranked, and below them what the first stage ranks below
    `depth`. The names of the files sort in the order of the run. Raises UserError where the disk has no room for them.
    """
    _, _, pairs, blocks = _blocks(inputs, settings, work, size)
    absent = {path: len(block) for path, block in blocks.items() if not path.exists()}
    if absent:
        space.require(work, runs.LINE * pq.read_metadata(inputs.first_stage).num_rows, "the reranked passages")
    return absent, len(pairs)


def worker(
    inputs: Inputs, settings: Rerank, work: Path, size: int, load: Callable[[], Score], tick: Tick = lambda n: None
) -> Callable[[Path], int]:
    """Load a model by `load`; returns what scores a block and writes it, and says how many pairs it has.

    `tick` is called after each batch with the number of its pairs. Raises UserError for a passage that the corpus does
    not have.
    """
    queries, sample, pairs, blocks = _blocks(inputs, settings, work, size)
    passages = candidates.passages(inputs.docs, pairs["doc_id"])
    numbers = {passage: number for number, passage in enumerate(passages["doc_id"].to_pylist())}
    places = ranking.places(passages["doc_id"])
    rest = candidates.below(runs.read(inputs.first_stage), sample, settings.depth)
    score = load()

    def write(path: Path) -> int:
        block = blocks[path]
        rows = np.array([numbers[passage] for passage in block["doc_id"].to_pylist()])
        texts = passages["text"].take(pa.array(rows)).to_pylist()
        scores = score([queries[query] for query in block["query_id"].to_pylist()], texts, tick)
        with publish(path) as draft:
            runs.write([candidates.append(candidates.best_first(block, scores, places[rows]), rest)], draft)
        return len(block)

    return write


def _blocks(
    inputs: Inputs, settings: Rerank, work: Path, size: int
) -> tuple[dict[str, str], list[str], pa.Table, dict[Path, pa.Table]]:
    """Texts of the queries, those that are reranked, all their pairs, and these in blocks by the file of each."""
    topics = pq.read_table(inputs.topics, columns=["query_id", "text"]).to_pydict()
    queries = dict(zip(topics["query_id"], topics["text"], strict=True))
    sample = candidates.sample(queries, settings.queries, settings.seed)
    pairs = candidates.top(runs.read(inputs.first_stage), sample, settings.depth)
    blocks = {work / f"{at:06d}.parquet": block for at, block in enumerate(candidates.blocks(pairs, size))}
    return queries, sample, pairs, blocks


def write_run(work: Path, target: Path) -> None:
    """Put the finished blocks of `work` together as a run; without blocks it is one of no lines."""
    target.parent.mkdir(parents=True, exist_ok=True)
    runs.write(map(pq.read_table, sorted(work.glob("*.parquet"))), target)
