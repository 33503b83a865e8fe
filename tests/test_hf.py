"""Datasets in the hub's layouts, tried on folders: the same collection as in BEIR's layout, and pairs to train on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collections import canonical, readers, write
from stages.collections.canonical import Card
from stages.collections.pairs import identity
from stages.core.errors import UserError
from stages.params.corpora import Corpus
from tests import local_hub
from tests.conftest import ROOT

PASSAGES = [
    {"_id": "007", "title": "Ants", "text": "live in hills"},
    {"_id": "d2", "title": None, "text": ' "bees" fly, they say\n\tand hum '},
    {"_id": "d3", "title": "", "text": "cats nap"},
]
QUERIES = [{"_id": str(number), "text": text} for number, text in enumerate(["who flies", "who naps", "which hills"])]
QRELS = {
    "train": [{"query-id": "0", "corpus-id": "d2", "score": 1}],
    "test": [{"query-id": "1", "corpus-id": "d3", "score": 2}, {"query-id": "2", "corpus-id": "007", "score": 0}],
}


def save(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def declare(folder: Path, **configs: dict[str, str]) -> None:
    """The head of a dataset's README: configuration -> split -> files."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [line for split, path in splits.items() for line in (f"  - split: {split}", f"    path: {path}")]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def beir(folder: Path) -> str:
    save(folder / "corpus.jsonl", PASSAGES)
    save(folder / "queries.jsonl", QUERIES)
    for split, rows in QRELS.items():
        save(folder / "qrels" / f"{split}.jsonl", rows)
    return f"beir:{folder}"


def mteb(folder: Path) -> str:
    """Configurations in parquet, the corpus in two shards, ids under `id`, grades as fractions."""
    for number, rows in enumerate((PASSAGES[:2], PASSAGES[2:])):
        renamed = [{"id" if key == "_id" else key: value for key, value in row.items()} for row in rows]
        save(folder / f"corpus/corpus-0000{number}-of-00002.parquet", renamed)
    save(folder / "queries/queries-00000-of-00001.parquet", QUERIES)
    for split, rows in QRELS.items():
        graded = [{**row, "score": float(row["score"])} for row in rows]
        save(folder / f"data/{split}-00000-of-00001.parquet", graded)
    splits = {split: f"data/{split}-*" for split in QRELS}
    declare(folder, default=splits, corpus={"corpus": "corpus/*"}, queries={"queries": "queries/*"})
    return f"hf:{folder}"


def named_otherwise(folder: Path) -> str:
    mteb(folder)
    splits = {split: f"data/{split}-*" for split in QRELS}
    several = {"dev": "queries/*", "all": "corpus/*"}
    declare(folder, **{"en-qrels": splits, "en": several, "asked": {"a": "queries/*"}})
    return f"hf:{folder}"


def undeclared(folder: Path) -> str:
    beir(folder)
    return f"hf:{folder}"


def second_dataset(folder: Path) -> str:
    beir(folder)
    (folder / "qrels").rename(folder.with_name(f"{folder.name}-qrels"))
    return f"hf:{folder}"


LAYOUTS = {
    "MTEB": (mteb, {}),
    "other names": (named_otherwise, {"corpus": "en/all", "queries": "asked", "qrels": "en-qrels"}),
    "files alone": (undeclared, {}),
    "judgments beside": (second_dataset, {}),
}


def written(source: str, out: Path, **settings: object) -> Card:
    corpus = Corpus(**{"source": source, "train": "train", "judged": {"test": {}}, **settings})
    return write.write(readers.read(corpus), corpus, out)


@pytest.mark.parametrize("layout, configs", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_the_same_collection(tmp_path, layout, configs):
    plain = written(beir(tmp_path / "beir"), tmp_path / "plain")
    card = written(layout(tmp_path / "here"), tmp_path / "out", configs=configs)
    assert card.fingerprint == plain.fingerprint and card.splits == plain.splits
    assert canonical.docs(tmp_path / "out").read().to_pylist() == [
        {"doc_id": "007", "text": "Ants live in hills"},
        {"doc_id": "d2", "text": '"bees" fly, they say\n\tand hum'},
        {"doc_id": "d3", "text": "cats nap"},
    ]


WRONG = {
    "several splits": (lambda folder: None, {"corpus": "default"}, r"several splits; say configs: \{corpus: default/<"),
    "no configuration": (
        lambda folder: None,
        {"corpus": "de"},
        "called de; its configurations are: default, corpus, q",
    ),
    "no split": (
        lambda folder: declare(folder, default={"dev": "data/test-*"}, corpus={"c": "corpus/*"}, queries={"q": "q*/*"}),
        {},
        r"no judgments of train and test; there are: dev; leave out train and say validation: 0 .*judged: \{dev: \{",
    ),
}


@pytest.mark.parametrize("damage, configs, message", WRONG.values(), ids=WRONG)
def test_what_is_not_there_is_one_line(tmp_path, damage, configs, message):
    source = mteb(tmp_path / "here")
    damage(tmp_path / "here")
    with pytest.raises(UserError) as raised:
        written(source, tmp_path / "out", configs=configs)
    assert re.search(message, str(raised.value)) and "\n" not in str(raised.value)


TRIPLETS = [
    {"anchor": "who flies", "positive": "bees fly", "negative": "cats nap", "more": ["ants dig", "bees fly"]},
    {"anchor": "who naps", "positive": "cats nap", "negative": None, "more": []},
    {"anchor": " who flies ", "positive": "wasps fly", "negative": "cats nap", "more": None},
    {"anchor": "", "positive": "nobody asked", "negative": "cats nap", "more": None},
]


def test_triplets_of_texts_are_a_collection_to_train_on(tmp_path):
    save(tmp_path / "triplets/train-00000-of-00001.parquet", TRIPLETS)
    columns = {"query": "anchor", "negative": ["negative", "more"]}
    card = written(f"hf:{tmp_path / 'triplets'}", tmp_path / "out", judged={}, pairs=columns)
    assert card.dropped == {"pairs without text": 1} and list(card.splits) == ["train"]
    texts = ["bees fly", "cats nap", "ants dig", "wasps fly"]
    bees, cats, ants, wasps = map(identity, texts)
    assert canonical.docs(tmp_path / "out").read()["text"].to_pylist() == texts
    assert canonical.topics(tmp_path / "out", "train")["text"].to_pylist() == ["who flies", "who naps"]
    assert canonical.qrels(tmp_path / "out", "train")["doc_id"].to_pylist() == [bees, wasps, cats]
    triplets = pq.read_table(tmp_path / "out/docpairs.parquet")
    assert set(triplets["query_id"].to_pylist()) == {identity("who flies")}
    assert list(zip(triplets["positive_id"].to_pylist(), triplets["negative_id"].to_pylist(), strict=True)) == [
        (bees, cats),
        (bees, ants),
        (bees, bees),  # which the guard against leakage leaves out when triplets are drawn
        (wasps, cats),
    ]


def test_triplets_of_ids_name_passages_of_the_corpus(tmp_path):
    mteb(tmp_path / "here")
    rows = [{"query": 0, "positive": "d2", "negative": "d3"}, {"query": 1, "positive": "d3", "negative": "gone"}]
    save(tmp_path / "here/triplets/train.parquet", rows)
    tables = {name: {name: f"{name}/*"} for name in ("corpus", "queries")}
    declare(tmp_path / "here", triplets={"train": "triplets/*"}, **tables)
    columns = {"config": "triplets", "negative": "negative", "ids": True}
    card = written(f"hf:{tmp_path / 'here'}", tmp_path / "out", judged={}, pairs=columns)
    assert card.documents == 3 and card.splits["train"].queries == 2
    assert card.dropped == {"released triples of other queries or absent passages": 1}
    triplets = pq.read_table(tmp_path / "out/docpairs.parquet").to_pylist()
    assert triplets == [{"query_id": "0", "positive_id": "d2", "negative_id": "d3"}]


def test_pairs_read_no_further_than_their_limit(tmp_path):
    save(tmp_path / "pairs/train.jsonl", TRIPLETS)
    card = written(f"hf:{tmp_path / 'pairs'}", tmp_path / "out", judged={}, pairs={"query": "anchor", "limit": 2})
    assert card.documents == 2 and not (tmp_path / "out/docpairs.parquet").exists()


def test_a_column_that_is_not_there_is_named(tmp_path):
    save(tmp_path / "pairs/train.jsonl", TRIPLETS)
    with pytest.raises(
        UserError, match=r"train\.jsonl:1: has no column 'query', which pairs: names; there are: anchor"
    ):
        written(f"hf:{tmp_path / 'pairs'}", tmp_path / "out", judged={}, pairs={})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "hf:mteb/scifact"}, "must name a dataset with its revision"),
        ({"source": "beir:x", "pairs": {}}, "pairs: are columns of a dataset of the hub"),
        ({"source": "hf:./x", "pairs": {}, "train": None}, "pairs: are trained on; name their split"),
        ({"source": "hf:./x", "pairs": {}, "judged": {"test": {}}}, "pairs: of texts have no judgments"),
        ({"source": "hf:./x", "train": None}, "has neither a train split nor judged ones"),
    ],
)
def test_a_block_that_contradicts_itself_is_told(settings, message):
    with pytest.raises(ValueError, match=message):
        Corpus(**{"train": "train", "judged": {}, **settings})


class Hub(local_hub.Hub):
    """A hub that lists a folder of a dataset at a time, as that of datasets does."""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        name, tree, folder = path.partition("?")[0].partition(f"/tree/{local_hub.COMMIT}")
        repository = self.repositories.get(name.removeprefix("/api/datasets/"))
        if tree and repository:
            below = repository / folder.strip("/")
            listed = below.rglob("*") if "recursive=true" in path.lower() else below.glob("*")
            return 200, {}, json.dumps([local_hub._entry(found, repository) for found in sorted(listed)]).encode()
        return super().answer(path.replace("/api/datasets/", "/api/models/").replace("/datasets/", "/", 1))


FROM_HUB = """
import sys
from pathlib import Path
from stages.collections import readers, write
from stages.params.corpora import Corpus
from tests import local_hub
from tests.conftest import ROOT
source, qrels, out = sys.argv[1:]
configs = {"qrels": qrels} if qrels else None
corpus = Corpus(source=source, train="train", judged={"test": {}}, configs=configs)
card = write.write(readers.read(corpus), corpus, Path(out))
print(card.fingerprint, *card.origin.values(), readers.files(corpus))
"""


@pytest.mark.parametrize("layout, qrels", [(mteb, ""), (second_dataset, "a/here-qrels")], ids=["MTEB", "older"])
def test_a_dataset_of_the_hub_is_the_same_collection(tmp_path, layout, qrels):
    """In a process of its own, because huggingface_hub reads the address of its hub once."""
    plain = written(beir(tmp_path / "beir"), tmp_path / "plain")
    layout(tmp_path / "here")
    repositories = {f"a/{name}": tmp_path / name for name in ("here", "here-qrels") if (tmp_path / name).is_dir()}
    with local_hub.serving(Hub(repositories)) as address:
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
        names = [f"hf:a/here@{local_hub.COMMIT}", qrels and f"{qrels}@{local_hub.COMMIT}", str(tmp_path / "out")]
        command = [sys.executable, "-c", FROM_HUB, *names]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True)
    assert done.stdout.split() == [plain.fingerprint, *[local_hub.COMMIT] * len(repositories), "{}"], done.stderr
