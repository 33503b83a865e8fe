"""BM25: the tie rule of all searches, nothing without a common term, languages, an index of equal bytes everywhere."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from stages.retrieval import bm25, ranking, searching, tokens
from tests.conftest import ROOT

GERMAN = {
    "Das Haus am Ufer wurde verkauft.": "Häuser an den Ufern",
    "Der Apfelbaum trägt im Herbst Früchte.": "welche Bäume tragen Frucht",
    "Die Lehrerin erklärte den Satz des Pythagoras.": "Erklärungen von Lehrerinnen",
    "Der Zug nach Wien fährt um neun Uhr ab.": "Züge nach Wien",
    "Ein Vogel baut sein Nest im Schilf.": "Nester der Vögel",
    "Das Gericht verurteilte den Dieb zu einer Geldstrafe.": "Urteile der Gerichte über Diebe",
    "Die Ärztin verschreibt ein Medikament gegen Fieber.": "Medikamente verschreiben",
    "Im Museum hängt ein Bild des berühmten Malers.": "Bilder in Museen",
    "Der Bauer erntet den Weizen im August.": "die Ernten der Bauern",
    "Die Stadt plant eine neue Brücke über den Fluss.": "Brücken über Flüsse in Städten",
}
CHINESE = {
    "北京是中华人民共和国的首都。": "中国首都北京",
    "这家餐厅的烤鸭非常有名。": "有名的烤鸭",
    "他每天早上在公园里跑步。": "公园跑步",
    "医生建议多喝水并注意休息。": "医生有什么建议",
    "新的地铁线路将于明年开通。": "地铁什么时候开通",
    "苹果公司发布了新款 iPhone 手机。": "IPHONE手机",
    "大熊猫主要生活在四川的山区。": "熊猫生活在哪里",
    "图书馆周末的开放时间有所调整。": "图书馆开放时间",
    "科学家发现了一种新的病毒。": "发现病毒的科学家",
    "２０２４年的经济增长率为百分之五。": "2024 经济增长",
}


def first(collection: dict[str, str], language: str, folder) -> int:
    """How many of the queries find their own passage first."""
    bm25.build(list(collection), folder / language, 0.9, 0.4, language)
    _, rows = bm25.top_k(list(collection.values()), folder / language, 1)
    return sum(rows[:, 0] == range(len(collection)))


def test_a_language_has_its_own_endings_and_one_without_spaces_its_pairs_of_characters(tmp_path):
    assert first(GERMAN, "en", tmp_path) < 5 and first(GERMAN, "de", tmp_path) >= 9
    assert first(CHINESE, "en", tmp_path) < 5 and first(CHINESE, "zh", tmp_path) == 10


@pytest.mark.parametrize(
    "language, text, wanted",
    [
        ("zh", "我爱北京 iPhone 15 ＡＢＣ 猫", ["我爱", "爱北", "北京", "iphone", "15", "abc", "猫"]),
        ("ja", "東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("th", "สวัสดี", ["สวั", "วัส", "สดี"]),
        ("de", "Die Ha\u0308user", ["haus"]),
        ("hi", "हिन्दी", ["हिन्द"]),
        ("tr", "İzmir", ["izmir"]),
        ("vi", "Tiếng Việt", ["tiếng", "việt"]),
        ("en", "The boats' 東京", ["boat", "東京"]),
    ],
)
def test_tokens(language, text, wanted):
    assert tokens.split([text], tokens.of_language(language)) == [wanted]


@pytest.mark.parametrize("depth", [1, 5, 50])
def test_ranks_by_score_then_id_downwards_and_leaves_out_what_shares_no_term(depth, tmp_path):
    bm25.build(["red boat", "boat", "green house", "boat", ""], tmp_path / "bm25", 0.9, 0.4)
    places = ranking.places(pa.array(["a", "b", "c", "d", "e"]))
    scores, rows = bm25.top_k(["boats", "zebra", ""], tmp_path / "bm25", depth, places)
    assert rows[0][rows[0] >= 0].tolist() == [3, 1, 0][:depth]
    assert (rows[1:] == -1).all() and scores[0][0] > 0


def test_a_corpus_without_a_single_token_is_searched_in_vain(tmp_path):
    bm25.build(["", "!"], tmp_path / "bm25", 0.9, 0.4)
    assert (bm25.top_k(["red boat", "\0"], tmp_path / "bm25", 9)[1] == -1).all()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_index_is_the_same_bytes_in_every_process(language, tmp_path):
    code = (
        "import sys; from pathlib import Path; from stages.retrieval import bm25; bm25.build("
        f"['red boat of the king', 'boats and green 東京タワー', ''], Path(sys.argv[1]), 0.9, 0.4, '{language}')"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], check=True, env=environment, cwd=ROOT)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert one and one == other


def test_the_index_is_bm25s_own_however_few_texts_are_in_memory_at_a_time(tmp_path, monkeypatch):
    """Built from lists of numbers by its default backend, in one go."""
    import bm25s
    from bm25s.tokenization import Tokenized

    texts = ["", *GERMAN, "boat boat house", *CHINESE, "Haus", *GERMAN.values()]
    split = tokens.split(texts, tokens.of_language("de"))
    vocabulary = {token: number for number, token in enumerate(sorted({token for line in split for token in line}))}
    plain = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    numbered = [[vocabulary[token] for token in line] for line in split]
    plain.index(Tokenized(ids=numbered, vocab=vocabulary), show_progress=False)
    plain.save(str(tmp_path / "plain"))
    monkeypatch.setattr(bm25, "TOGETHER", 4)
    bm25.build(iter(texts), tmp_path / "ours", 0.9, 0.4, "de")
    for path in (tmp_path / "plain").iterdir():
        assert path.read_bytes() == (tmp_path / "ours" / path.name).read_bytes(), path.name


def test_processes_share_the_queries_of_one_search(tmp_path):
    bm25.build(GERMAN, tmp_path / "bm25", 0.9, 0.4, "de")
    places = ranking.places(pa.array([f"d{at}" for at in range(len(GERMAN))]))
    queries = [*GERMAN.values(), *GERMAN, "nichts davon"]
    with searching.searcher(3) as searcher:
        for asked in (queries, queries[:1], []):
            whole = bm25.top_k(asked, tmp_path / "bm25", 5, places)
            found = searcher.lexical(asked, tmp_path / "bm25", 5, places)
            assert all((one == other).all() and one.shape == other.shape for one, other in zip(whole, found))
