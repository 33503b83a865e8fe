"""Rerank: what another row ranked first, ordered again by one row's cross-encoders or its late interaction."""
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.core import costs
from stages.core import fingerprint
from stages.core import scratch
from stages.models import cross_encoder
from stages.models import encoding
from stages.models import model_folder
from stages.models import late_interaction
from stages.retrieval import candidates
from stages.retrieval import runs
from stages.core.errors import UserError
from stages.core.files import publish

PAIRS = 4096
READING = {"cross": cross_encoder, "late": late_interaction}
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--model", type=folder, required=True, help="the row's copies")
@click.option("--first", type=folder, required=True, help="runs of the row that ranks first, one folder a corpus")
@click.option("--corpora", type=folder, required=True, help="the corpora")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="runs, one folder a corpus and copy")
def main(row: str, model: Path, first: Path, corpora: Path, out: Path) -> None:
    """Score the first stage's candidates for the judged splits of every corpus with every trained copy of ROW.

    The model sees query and passage, and neither order nor score of the first stage; ties go to the lower row. What the
    first stage ranks below the candidates follows them in its order. Blocks that a killed run finished are not scored
    again.
    """
    study = params.load()
    clock, pairs, seconds = costs.Clock(), 0, 0.0
    with ExitStack() as stack, publish(out) as draft:
        draft.mkdir()
        for copy in model_folder.seed_runs(model):
            reading = READING[model_folder.describe(copy)["architecture"]]
            encoder = reading.load(copy)
            for corpus, split in ((name, split) for name, rules in study.corpora.items() for split in rules.judged):
                run = _candidates_of(first / corpus, copy.name) / f"{split}.parquet"
                label = f"{row} {copy.name} {corpus} {split}"
                if not run.is_file():
                    click.echo(f"{label}: skipped, the first stage has no run {run}")
                    continue
                sources = {"run": run, "docs": corpora / corpus / "docs.parquet",
                           "topics": corpora / corpus / "topics" / f"{split}.parquet"}
                key = _key(label, copy, reading, sources, study.rerank)
                work = stack.enter_context(scratch.workspace("rerank", key))
                clock.lap()
                pairs += _score(reading, encoder, sources, work, study.rerank, label)
                seconds += clock.lap()
                target = draft / corpus / copy.name / f"{split}.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                runs.write(map(pq.read_table, sorted(work.glob("*.parquet"))), target)
    costs.record("rerank", row, pairs_per_second=pairs / seconds if seconds else 0.0, pairs=pairs, seconds=seconds)


def _candidates_of(home: Path, copy: str) -> Path:
    """The first stage's copy of the same name, or its only one; a folder that is not there where it has none."""
    copies = [path.name for path in model_folder.seed_runs(home)] if home.is_dir() else []
    if copy in copies or not copies:
        return home / copy
    if len(copies) > 1:
        raise UserError(f"{home}: has copies {', '.join(copies)} and none called '{copy}'; train both rows with the "
                      f"same seeds, or rerank a row with one copy")
    return home / copies[0]


def _key(label: str, copy: Path, reading, sources: dict[str, Path], rerank) -> str:
    """What finished blocks belong to: model, candidates, texts, settings, and the code and libraries that scored."""
    made_by = [*(fingerprint.of_file(Path(module.__file__)) for module in (candidates, reading, encoding)),
               *(metadata.version(name) for name in ("torch", "transformers", "sentence-transformers"))]
    return fingerprint.of_values(label, fingerprint.of_folder(copy), PAIRS, rerank.model_dump(), made_by,
                                 {name: fingerprint.of_file(path) for name, path in sources.items()})


def _score(reading, encoder, sources: dict[str, Path], work: Path, rerank, label: str) -> int:
    """Write the blocks that `work` lacks, each a part of the run; returns how many pairs it scored for them."""
    from tqdm import tqdm
    topics = pq.read_table(sources["topics"], columns=["query_id", "text"])
    queries = dict(zip(*(topics[name].to_pylist() for name in ("query_id", "text"))))
    asked = candidates.asked(queries, rerank.queries, rerank.seed)
    found = candidates.first(runs.read(sources["run"]), asked, rerank.depth)
    missing = [(work / f"{at:06d}.parquet", block) for at, block in enumerate(candidates.blocks(found, PAIRS))]
    missing = [(path, block) for path, block in missing if not path.exists()]
    scored = sum(len(block) for _, block in missing)
    if not missing:
        return 0
    passages = candidates.passages(sources["docs"], found["doc_id"])
    rest = candidates.beyond(runs.read(sources["run"]), asked, rerank.depth)
    places = dict(zip(passages["doc_id"].to_pylist(), range(len(passages))))
    with tqdm(total=len(found), initial=len(found) - scored, desc=label, unit="pair", mininterval=2) as bar:
        for path, block in missing:
            numbers = np.array([places[passage] for passage in block["doc_id"].to_pylist()])
            texts = passages["text"].take(pa.array(numbers)).to_pylist()
            asking = [queries[query] for query in block["query_id"].to_pylist()]
            scores = reading.score(encoder, asking, texts, rerank.batch_tokens, rerank.precision, bar.update)
            with publish(path) as draft:
                runs.write([candidates.followed_by(candidates.best_first(block, scores, numbers), rest)], draft)
    return scored


if __name__ == "__main__":
    main()
