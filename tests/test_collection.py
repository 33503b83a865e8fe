"""The canonical format: what is kept, what is dropped and counted, what stops a study; and the stage that writes it."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stages import download, params
from stages.collections import canonical, language, readers, write
from stages.collections.canonical import Card, SplitSizes
from stages.collections.source import Query, Source
from stages.collections.splits import sha256
from stages.core import code
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit

DOCS = [("d1", "ants live in hills"), ("d2", "bees fly"), ("d3", "cats nap")]
QUERIES = {"q1": "who flies", "q2": "where do ants live", "q3": "who naps", "q4": "what is an ant"}
QRELS = {"train": [("q1", "d2", 1), ("q4", "d1", 1)], "dev": [("q2", "d1", 3), ("q3", "d3", 1), ("q3", "d1", 0)]}


def source(docs=DOCS, queries=QUERIES, clusters={}, **qrels) -> Source:  # noqa: B006
    asked = {query: Query(text, clusters.get(query, query)) for query, text in queries.items()}
    return Source(iter(docs), asked, QRELS | qrels)


def written(given: Source, out: Path, judged=("dev",), validation=0, limit=None, train="train") -> Card:
    splits = {split: JudgedSplit(limit=limit) for split in judged}
    corpus = Corpus(source="beir:none", train=train, judged=splits, validation=validation, tokens=256)
    return write.write(given, corpus, out)


def test_order_sizes_and_files(tmp_path):
    out = tmp_path / "out"
    card = written(source(dev=[*QRELS["dev"][1:], QRELS["dev"][0]]), out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "card.json",
        "docs.json",
        "docs.parquet",
        "qrels/dev.parquet",
        "qrels/train.parquet",
        "topics/dev.parquet",
        "topics/train.parquet",
    ]
    assert json.loads((out / "docs.json").read_text()) == {
        "documents": 3,
        "language": "en",
        "tokens": 256,
        "query_tokens": None,
        "passage_tokens": None,
    }
    assert json.loads((out / "card.json").read_text()) == asdict(card) and canonical.card(out) == card
    assert canonical.caps(out) == canonical.Caps(tokens=256)
    assert canonical.doc_ids(out).to_pylist() == ["d1", "d2", "d3"]
    assert canonical.splits(out) == ["dev", "train"]
    assert canonical.topics(out, "dev")["query_id"].to_pylist() == ["q2", "q3"]
    assert canonical.qrels(out, "dev").to_pydict() == {
        "query_id": ["q2", "q3", "q3"],
        "doc_id": ["d1", "d3", "d1"],
        "grade": [3, 1, 0],
    }
    assert card.splits["dev"] == SplitSizes(
        queries=2, judgments=3, clusters=2, relevant_per_query=1.0, words_per_query=3.0
    )
    assert card.words_per_passage == 2.67 and not card.dropped and not card.noted


def test_two_writes_are_the_same_bytes_and_an_older_folder_is_replaced(tmp_path):
    out = tmp_path / "out"
    cards, files = [], []
    for _ in range(2):
        cards.append(written(source(), out, validation=1))
        files.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert files[0] == files[1] and str(tmp_path) not in (out / "card.json").read_text()
    assert written(source([*DOCS, ("d4", "dogs")]), out).fingerprint != cards[0].fingerprint


DROPPED = {
    "repeated passages": {"docs": [*DOCS, DOCS[1]]},
    "empty passages": {"docs": [*DOCS, ("d4", " \n")]},
    "queries without text": {"queries": QUERIES | {"q5": " "}},
    "dev: judgments of queries without text": {
        "queries": QUERIES | {"q5": ""},
        "dev": [*QRELS["dev"], ("q5", "d1", 1)],
    },
    "dev: judgments of absent queries": {"dev": [*QRELS["dev"], ("q9", "d1", 1)]},
    "dev: repeated judgments": {"dev": [*QRELS["dev"], ("q3", "d1", 0)]},
    "train: judgments of absent passages": {"train": [*QRELS["train"], ("q4", "d9", 1)]},
    "train queries that are also judged": {"train": [*QRELS["train"], ("q3", "d3", 1)]},
}


@pytest.mark.parametrize("reason, changes", DROPPED.items(), ids=DROPPED)
def test_what_is_dropped_is_counted_and_nothing_else_changes(tmp_path, reason, changes):
    plain, card = written(source(), tmp_path / "plain"), written(source(**changes), tmp_path / "out")
    assert card.dropped[reason] == 1 and set(card.dropped) <= {reason, "queries without text"}
    assert card.fingerprint == plain.fingerprint


def test_a_repetition_far_away_is_found(tmp_path):
    many = [(str(number), f"text {number}") for number in range(25_000)]
    card = written(source([*DOCS, *many, many[7], DOCS[0]]), tmp_path / "out")
    assert card.documents == 25_003 and card.dropped == {"repeated passages": 2}
    assert canonical.docs(tmp_path / "out").read()["doc_id"].to_pylist() == ["d1", "d2", "d3", *(n for n, _ in many)]


def test_a_training_query_worded_as_a_judged_one_is_dropped(tmp_path):
    card = written(source(queries=QUERIES | {"q1": " Who  NAPS"}), tmp_path / "out")
    assert card.dropped == {"train queries that are also judged": 1}
    assert canonical.topics(tmp_path / "out", "train")["query_id"].to_pylist() == ["q4"]


def test_what_is_kept_and_noted(tmp_path):
    given = source(
        [*DOCS, ("d4", "word " * 10_000)],
        QUERIES | {"q5": "Who naps"},
        dev=[*QRELS["dev"], ("q2", "d9", 2)],
        test=[("q5", "d3", 1)],
    )
    card = written(given, tmp_path / "out", judged=("dev", "test"))
    assert card.noted == {
        "dev: judgments of absent passages": 1,
        "passages over 2,000 words": 1,
        "query texts in more than one judged split": 1,
    }
    assert card.documents == 4 and card.splits["dev"].judgments == 4
    assert len(canonical.docs(tmp_path / "out").read()["text"][3].as_py()) == 49_999


def test_duplicates_queries_without_answers_and_queries_that_are_passages_are_counted(tmp_path):
    given = source(
        [*DOCS, ("d4", " Bees  FLY\n"), ("q3", "who naps"), ("q2", "another text")],
        dev=[("q2", "d2", 1), ("q2", "d4", 1), ("q3", "d1", 0)],
    )
    card = written(given, tmp_path / "out")
    assert card.noted == {
        "passages whose text another passage has too": 2,
        "train: relevant passages whose text another passage has too": 1,
        "dev: relevant passages whose text another passage has too": 2,
        "dev: queries without a relevant passage": 1,
        "dev: queries that are passages themselves, which drop_self takes out of their rankings": 1,
    }
    assert canonical.docs(tmp_path / "out").read()["text"][3].as_py() == "Bees  FLY"


def test_grades_and_sizes_are_those_of_rel(tmp_path):
    corpus = Corpus(source="beir:none", train="train", judged={"dev": JudgedSplit(rel=2)})
    card = write.write(source(), corpus, tmp_path / "out")
    assert card.splits["dev"].relevant_per_query == 0.5 and card.noted == {"dev: queries without a relevant passage": 1}
    corpus = Corpus(source="beir:none", train="train", judged={"dev": JudgedSplit(rel=4)})
    with pytest.raises(
        UserError, match=r"dev has no judgment of grade 4 or more; its grades are: 0 \(1 times\), 1 \(1 t"
    ):
        write.write(source(), corpus, tmp_path / "other")


def test_self_matches_that_are_relevant_are_not_taken_out(tmp_path):
    rules = JudgedSplit(drop_self=True)
    corpus = Corpus(source="beir:none", train="train", judged={"dev": rules})
    docs = [*DOCS, ("q3", "cats nap, too")]
    with pytest.raises(UserError, match=r"judged\.dev\.drop_self: 1 of 2 queries have the passage of their own id"):
        write.write(source(docs, dev=[*QRELS["dev"], ("q3", "q3", 1)]), corpus, tmp_path / "out")
    assert write.write(source(docs, dev=[*QRELS["dev"], ("q3", "q3", 0)]), corpus, tmp_path / "out").documents == 4


def test_a_corpus_that_is_only_trained_on(tmp_path):
    card = written(source(), tmp_path / "out", judged=(), validation=1)
    assert set(card.splits) == {"train", "validation"} and canonical.splits(tmp_path / "out") == ["train", "validation"]


# The first article of the Universal Declaration of Human Rights, or its beginning.
LANGUAGES = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och samvete och",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder. De er udstyret med fornuft og samvittighed, "
    "og de bør handle mod hverandre i en broderskabets ånd.",
    "no": "Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter. De er utstyrt med fornuft og "
    "samvittighet og bør handle mot hverandre i brorskapets ånd.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja "
    "omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt înzestrate cu rațiune și",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve",
    "ca": "Tots els éssers humans neixen lliures i iguals en dignitat i en drets. Són dotats de raó i de "
    "han de comportar-se fraternalment els uns amb els altres.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai akal dan",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ja": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند. همه دارای عقل و وجدان می‌باشند و "
    "باید نسبت به یکدیگر با روح برادری رفتار کنند، چه اینجا و چه آنجا.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
}


@pytest.mark.parametrize("code, text", LANGUAGES.items(), ids=LANGUAGES)
def test_a_language_is_detected_and_stands_with_the_collection(tmp_path, code, text):
    docs = [(f"d{number}", f"{text} {number}") for number in (1, 2, 3)]
    written(source(docs), tmp_path / "out")
    assert canonical.language(tmp_path / "out") == code


def test_a_language_is_said_or_english_where_nothing_tells_it(tmp_path):
    assert language.detect(["xyz 12 qwertz", "abc-def"]) is None and language.detect(["12 %"]) is None
    corpus = Corpus(source="beir:none", train="train", judged={"dev": {}}, language="nl", query_tokens=9)
    write.write(source(), corpus, tmp_path / "out")
    assert canonical.language(tmp_path / "out") == "nl" and canonical.caps(tmp_path / "out").query_tokens == 9


def test_mojibake_stays_as_it_is(tmp_path):
    written(source([*DOCS, ("d4", "itâ\u0080\u0099s")]), tmp_path / "out")
    assert canonical.docs(tmp_path / "out").read()["text"][3].as_py() == "itâ\u0080\u0099s"


def test_validation_takes_whole_clusters_and_never_the_words_of_a_training_query(tmp_path):
    queries = {f"t{number}": f"training query {number % 20}" for number in range(40)} | {"q2": "a", "q3": "b"}
    clusters = {f"t{number}": f"cluster {number // 4}" for number in range(40)}
    train = [(query, "d1", 1) for query in queries if query.startswith("t")]
    card = written(source(queries=queries, clusters=clusters, train=train), tmp_path / "out", validation=10)
    train, validation = (canonical.topics(tmp_path / "out", split).to_pydict() for split in ("train", "validation"))
    assert len(validation["query_id"]) == 12 and not {*train["cluster"]} & {*validation["cluster"]}
    assert not {*train["text"]} & {*validation["text"]}
    assert len(train["query_id"]) == 28 - card.dropped["train queries that are also in validation"]


def test_a_limit_keeps_the_first_by_hash_and_trains_on_none_of_the_rest(tmp_path):
    given = source(dev=[(query, "d1", 1) for query in ("q1", "q2", "q3")])
    card = written(given, tmp_path / "out", limit=1)
    assert card.dropped == {"dev: queries beyond its limit": 2, "train queries that are also judged": 1}
    assert canonical.qrels(tmp_path / "out", "dev")["query_id"].to_pylist() == [min(("q1", "q2", "q3"), key=sha256)]


WRONG = {
    "no passage with text": {"docs": [("d1", " ")]},
    "passage id 'd1' appears twice in the corpus, with different texts": {"docs": [*DOCS, ("d1", "other")]},
    "qrels of dev: query 'q3' and passage 'd1' are judged twice, with grades 0 and 1": {
        "dev": [*QRELS["dev"], ("q3", "d1", 1)]
    },
    "qrels of dev: none of its 1 judgments names a query that is there .theirs: 'q9', ours: 'q1'": {
        "dev": [("q9", "d1", 1)]
    },
    "passage id .d.x004. holds a tab, a line end or a control character": {"docs": [*DOCS, ("d\x004", "x")]},
    "query id .q.t5. holds a tab": {"queries": QUERIES | {"q\t5": "x"}},
    "passage id 'd\xe9' is composed otherwise in the qrels": {
        "docs": [*DOCS, ("d\xe9", "x")],
        "dev": [*QRELS["dev"], ("q3", "de\u0301", 1)],
    },
    "qrels of dev: none of its 2 judgments names a passage": {"dev": [("q2", "d8", 1), ("q3", "d9", 1)]},
    "qrels of train: none of its 1 judgments names a passage": {"train": [("q1", "d9", 1)]},
    "split dev has no judgment of grade 1 or more": {"dev": [("q2", "d1", 0)]},
    "split train has no judgment of grade 1 or more; its grades are: none; is it the file that": {"train": []},
    "qrels of train: none of the 1 queries that no judged split asks too is judged on a passage": {
        "train": [QRELS["dev"][0], ("q1", "d9", 1)]
    },
    "train queries among the judged: all 2 of them": {"train": QRELS["dev"][:2]},
}


@pytest.mark.parametrize("message, changes", WRONG.items(), ids=WRONG)
def test_contradictions_stop_and_leave_nothing(tmp_path, message, changes):
    with pytest.raises(UserError, match=message):
        written(source(**changes), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_validation_must_leave_something_to_train_on(tmp_path):
    with pytest.raises(UserError, match="validation: 2 queries, in whole clusters, leave none of the 2"):
        written(source(), tmp_path / "out", validation=2)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on one corpus, in a folder of its own."""
    (tmp_path / "tiny" / "qrels").mkdir(parents=True)
    lines = {"corpus": dict(DOCS), "queries": QUERIES}
    for name, texts in lines.items():
        (tmp_path / "tiny" / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items())
        )
    (tmp_path / "tiny" / "qrels" / "dl.trec").write_text("q2 0 d1 3\nq2 0 d9 1\n")
    monkeypatch.chdir(tmp_path)

    def run(corpus="tiny", **settings):
        corpora = {"tiny": Corpus(**settings)}
        monkeypatch.setattr(params, "load", lambda: SimpleNamespace(corpora=corpora))
        return CliRunner().invoke(download.main, [corpus, "--out", "data/corpora/tiny"])

    return run


def test_the_stage_writes_and_prints_sizes(stage, tmp_path):
    done = stage(source="beir:tiny", judged={"dl19": {"subset": "dl.trec", "rel": 2}})
    assert done.exit_code == 0 and "dl19: 1 queries of 4 words, 2 judgments" in done.output
    assert "noted: 1 (dl19: judgments of absent passages)" in done.output
    assert canonical.splits(tmp_path / "data" / "corpora" / "tiny") == ["dl19"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "beir:nowhere"}, "corpora.tiny: nowhere: there is no such folder"),
        (
            {"source": "beir:tiny"},
            "corpora.tiny: tiny/qrels: no judgments of dl19; there are: dl; say judged: {dl: {}}",
        ),
        (
            {"source": "beir:tiny", "docpairs": "x", "judged": {"dl19": {"subset": "dl.trec"}}},
            "corpora.tiny: docpairs: released triples need a source that has them (irds:)",
        ),
        ({"source": "beir:tiny", "corpus": "huge"}, "no corpus is called 'huge'; there are: tiny"),
    ],
)
def test_the_stage_names_the_parameter(stage, tmp_path, settings, message):
    done = stage(**{"judged": {"dl19": {}}, **settings})
    assert done.exit_code == 1 and message in str(done.output)
    assert not (tmp_path / "data").exists()


def test_a_reader_is_a_module_named_by_its_kind(tmp_path, monkeypatch):
    """One that is added in its own file is in no other corpus's code."""
    (tmp_path / "added.py").write_text(
        "from stages.collections.source import Query, Source\n"
        "def read(corpus, location):\n"
        "    return Source(iter([('d', location)]), {'q': Query('who', 'q')}, {'test': [('q', 'd', 1)]})\n"
    )
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    corpus = Corpus.model_construct(source="added:here:and there", train=None, docpairs=None)
    assert list(readers.read(corpus).docs) == [("d", "here:and there")]
    with pytest.raises(UserError, match=r"source: nothing reads 'csv:'; write stages/collections/readers/csv[.]py"):
        readers.read(Corpus.model_construct(source="csv:x", train=None, docpairs=None))
    names = {path.relative_to(code.ROOT).as_posix() for path in code.closure("stages.download")}
    assert "stages/collections/readers/__init__.py" in names
    assert not any(name.startswith("stages/collections/readers/") and "__init__" not in name for name in names)
