"""The page says what its inputs say, and works in a browser: both widths, both colour schemes, nothing fetched."""

import html
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stages.reporting.page import acronyms, scatter, vega
from stages.reporting.page.words import minus
from tests.planted_page import CLAIMS, EVIL, VARIANTS, build, write

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def words(text: str) -> str:
    """What a reader sees of some HTML, without scripts and styles, on one line."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def charts(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)[1])


def records(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for layer in vega.records(chart) for record in layer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The planted study and its page, for tests that read them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = write(tmp_path_factory.mktemp("page") / "study")
        build(folder, patch)
    return folder


@pytest.fixture(scope="module")
def text(folder) -> str:
    return (folder / "reports/index.html").read_text()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, Any]:
    """The charts of the study with two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        return charts(build(write(tmp_path_factory.mktemp("seeds") / "study", seeds=2), patch))


def test_the_page_says_what_its_inputs_say(folder, text, monkeypatch):
    said = words(text)
    titles = (
        "In one minute One checkpoint came out better, which is not yet a recipe: lora-hard with seed",
        "lora-hard was chosen on in_domain dev, as the best of 2 fine-tuned variants: RR@10 goes from 0.5000 to 0.5500",
        "What it costs, what it rests on, and what would change it",
        "A value links to its run, model and data",
        "What the verdicts rest on",
        "below the variant's own minimum detectable effect",
        "Three queries, before and after",
        "mean RR@10 out of domain",
        "Losses of different kinds have different units",
        "Milliseconds per query are those of the batches",
        "Figure on the horizontal axis",
        "peak memory in training, MB",
        "near duplicate of the positive, %",
        "Controlled runs",
        "Show all",
        "Code and params.yaml behind these numbers",
    )
    places = [said.index(title) for title in titles]
    assert places == sorted(places)
    for sentence in (
        "passage, 0 below rank 10) , in_domain test +10.0 % 0.5000 → 0.5500, 95 % interval +6.0 to +14.0 better",
        "lora-hard minilm, lora, hard, printed 0.5500 +10.0 better +6.0 to +14.0 6.0",
        "bm25 bm25 0.4000 −20.0 worse −24.0 to −16.0 6.0",
        "lora-hard 1 10 / 5 / 25",
        "Of 40 queries lora-hard gains 10 and loses 5 in RR@10 on in_domain test",
        "10 went up a band, 1 down, 29 stayed in theirs",
        "The largest gain +0.900 rank 12 → 1 What is <b>right</b>?",
        "base first relevant: 12 wrong lora-hard first relevant: 1 ✓ </script>",
        "lora-hard +10.0 3 1,000 16 7 99",
        "lora-hard in_domain 0.5500 +10.0 (+6.0 to +14.0) 0.5500 0.5000 +10.0 (+6.0 to +14.0) 1 of 1",
        "similarity 1.00 0.25",
        "b for a worse −17.6 −25.4 to −9.7 < 0.0001 –",
        "z not run –",
        "Is b worse? Yes. compared",
        "tolerance −0.05 to +0.05",
        "printed 3.9; found 3.8 to 4",
        "P1, IV. It is so. P1.02 holds, P1.01 not reproduced",
        "no git here",
        "There is no dvc.lock",
    ):
        assert sentence in said, sentence
    assert said.count("RR@10 on in_domain test goes from") == 0  # the boxes of the answer say it
    assert build(folder, monkeypatch) == text
    assert len(text) < 5_000_000


def test_with_one_set_out_of_domain_the_main_table_alone_has_its_values(tmp_path, monkeypatch):
    text = build(write(tmp_path, sets=2), monkeypatch)
    said = words(text)
    assert "mean RR@10 out of domain" not in said and "the main table has its values" in said
    assert "Its words are those of in_domain to 25 %" in said and "against full fine-tuning" in said
    assert "chart-transfer" not in charts(text) and "Change on each collection" not in said


def test_nothing_is_said_twice(text):
    """No sentence of the page, and no table, stands on it a second time."""
    shown = re.sub(r"<(script|style|nav)\b.*?</\1>", "", text, flags=re.DOTALL)
    shown = re.sub(r'<details class="from">.*?</details>|<article.*?</article>', "", shown, flags=re.DOTALL)
    tables = re.findall(r"(?:<h3>[^<]*</h3>\s*)?<div class=.scroll[^>]*>\s*<table.*?</table>", shown, re.DOTALL)
    assert len(tables) == len(set(tables))
    prose = re.findall(r"<p\b[^>]*>(.*?)</p>", shown, re.DOTALL)
    sentences = [one for part in prose for one in re.split(r"(?<=[.:]) ", words(part).strip()) if len(one) > 40]
    assert len(sentences) > 20 and len(sentences) == len(set(sentences))


def test_the_first_table_has_at_most_seven_columns(text):
    table = re.search(r"<table.*?</table>", text, re.DOTALL)[0]
    rows = re.findall(r'<tr(?! class="part").*?</tr>', table, re.DOTALL)
    widths = {len(re.findall(r"<t[dh]\b", row)) for row in rows[2:]}
    assert widths == {7} and "detect" in table


def test_short_names_are_told_where_they_first_stand(text):
    """In what is seen at once and in what is folded; and no name in capitals is unknown to the list."""
    names = [re.compile(rf"(?<![\w@-])({name})(?![\w@]|['’]s\b)") for name in acronyms.WORDS]
    plain = {"JSON", "MB", "NOT", "OK", "JavaScript", "AdamW", "MiniLM", "arXiv", "Wₜ", "IV", "README"}
    _, _, body = text.partition("<body>")
    shown = re.sub(acronyms.PLAIN, "", body, flags=re.DOTALL)
    open_parts = re.sub(r"(?s)(<details\b(?:(?!<details\b).)*?</summary>)(?:(?!<details\b).)*?</details>", r"\1", shown)
    for part in (shown, open_parts):
        tagged = re.sub(r'<abbr title="[^"]*">(.*?)</abbr> <span class="told">\((.*?)\)</span>', r"\1 ⟦\2⟧", part)
        seen = html.unescape(re.sub(r"<[^>]+>", " ", tagged))
        told = acronyms.QUOTED.sub("“”", re.sub(r"⟦.*?⟧", "⟦⟧", seen))
        for name in names:
            if first := name.search(told):
                assert told[first.end() :].startswith(" ⟦"), told[first.start() - 60 : first.end() + 20]
    known = re.sub("|".join(name.pattern for name in names), "", re.sub(r"⟦.*?⟧", "", seen.replace(EVIL, "")))
    found = set(re.findall(r"(?<![\w@-])[A-Za-z]*[A-Z][A-Za-z]*[A-Z][A-Za-z@\d]*", known))
    assert found <= plain, found - plain


def test_expansions_follow_the_first_name_only():
    page = (
        "<body><h1>RR@10</h1><details><summary>x</summary>LoRA</details><p>RR@20 and LoRA, RR@20</p><code>SD of</code>"
    )
    said = words(acronyms.told(page))
    assert said.count("low-rank") == 2 and said.count("reciprocal rank") == 1 and "0 below rank 20" in said
    assert "standard deviation" not in said
    quoted = words(acronyms.told("<body><p>“With GTE”, BM25&#39;s and BM25’s, then GTE and BM25</p>"))
    assert quoted.startswith(" “With GTE”, BM25's and BM25’s, then GTE (General") and "BM25 (Best" in quoted
    assert acronyms.told("none") == "none"


def test_every_link_has_its_target_and_no_id_stands_twice(text):
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and "claim-P1.01" in ids
    links = set(re.findall(r'href="#([^"]+)"', text))
    contents = re.findall(r'href="#([^"]+)"', re.search(r"<nav.*?</nav>", text, re.DOTALL)[0])
    assert contents == re.findall(r'<section id="([^"]+)"', text)
    assert links <= set(ids) and sum(link.startswith("from-") for link in links) == 8
    marked = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert set(re.findall(r'href="(?!#)([^"]*)', marked)) == {"data:,"} and " src=" not in marked
    assert not re.search(r"url\(|@import", re.search(r"<style>.*?</style>", text, re.DOTALL)[0])
    assert set(charts(text)) <= set(ids)


def test_words_of_others_stay_words(text):
    assert EVIL not in text and "<b>bold" not in text and EVIL[:20] in words(text)


def test_bars_and_points_are_the_results(drawn):
    bars = {record["variant"]: record for record in records(drawn["chart-changes-0"]) if "verdict" in record}
    changes = {name: round(bar["change"], 6) for name, bar in bars.items()}
    assert changes == {"bm25": -20, "full-hard": 0.8, "lora-hard": 10}
    assert (round(bars["lora-hard"]["low"], 6), round(bars["lora-hard"]["high"], 6)) == (6, 14)
    reach = [record for record in records(drawn["chart-changes-0"]) if "from" in record]
    assert {record["variant"]: record["to"] for record in reach} == dict.fromkeys(changes, 6)
    everything = json.dumps(drawn["chart-changes-0"])
    assert '"seed_run": "seed-1"' in everything and '"variant": "coded-hard", "words": "no run"}' in everything
    layers = [layer["encoding"] for number in (0, 1) for layer in drawn[f"chart-changes-{number}"]["layer"]]
    scales = [encoding["x"]["scale"] for encoding in layers if "scale" in encoding.get("x", {})]
    assert len(scales) == 2 and scales[0] == scales[1]
    points = [record for record in records(drawn["chart-space"]) if "figure" in record]
    kinds = {("base", "not trained"), ("full-hard", "trained"), ("lora-hard", "trained")}
    assert {(record["variant"], record["kind"]) for record in points} == kinds


def test_several_seeds_have_a_picture_and_one_has_none(drawn, text):
    seeds = [record for record in records(drawn["chart-seeds"]) if "seed_run" in record]
    changes = [(one["variant"], one["seed_run"], round(one["change"], 3)) for one in seeds]
    assert changes[-2:] == [("lora-hard", "seed-0", 10.0), ("lora-hard", "seed-1", 12.0)] and len(changes) == 4
    assert "chart-seeds" not in charts(text) and "From seed to seed" not in words(text)


def test_records_that_layers_share_stand_once(text):
    for chart in charts(text).values():
        datasets = [json.dumps(values) for values in chart["datasets"].values()]
        assert len(datasets) == len(set(datasets)) and "config" not in chart


def test_every_field_that_a_chart_draws_is_in_its_data(drawn):
    for name, chart in drawn.items():
        for layer, values in zip(chart["layer"], vega.records(chart), strict=True):
            fields = set(re.findall(r'"field": "(\w+)"', json.dumps(layer)))
            known = {key for record in values for key in record}
            assert fields <= known or not values, (name, fields - known)


def test_labels_do_not_meet():
    moved = sorted(scatter.apart([0.0, 0.1, 0.1, 5.0], 1.0))
    assert all(upper - lower > 0.99 for lower, upper in pairwise(moved)) and moved[-1] == 5


@pytest.mark.parametrize(
    "kind",
    [
        {"seeds": 3},
        {"out_of_domain": False},
        {"tuned": False},
        {"full": False},
        {"tuned": False, "full": False, "out_of_domain": False},
    ],
)
def test_other_studies_have_their_page(kind, tmp_path, monkeypatch):
    said = words(build(write(tmp_path, **kind), monkeypatch))
    assert ("No variant of this study is fine-tuned." in said) == (kind.get("tuned") is False)
    assert ("No claim is recorded." in said and "No part of the cause study" in said) == (kind.get("full") is False)
    measured = kind.get("full", True) and kind.get("out_of_domain", True)
    assert ("so that nothing is out of domain" in said) != measured
    assert ("Change on each collection" in said) == measured
    assert ("RR@10 out of domain" in said.partition("Every measure")[0]) == kind.get("out_of_domain", True)


def test_a_sign_is_a_minus_and_a_range_keeps_its_hyphen():
    assert minus("-1.0 (-2 to +3), ranks 51-200, lora-3e-4") == "−1.0 (−2 to +3), ranks 51-200, lora-3e-4"


HOOK = """<script>
window.problems = [];
addEventListener("error", event => problems.push(`error: ${event.message || event.target.outerHTML}`), true);
addEventListener("unhandledrejection", event => problems.push(`rejected: ${event.reason}`));
addEventListener("securitypolicyviolation", event => problems.push(`refused: ${event.blockedURI}`));
for (const level of ["error", "warn"]) console[level] = (...said) => problems.push(`${level}: ${said.join(" ")}`);
</script>"""
CHECK = """<script type="module">
const all = selector => [...document.querySelectorAll(selector)];
const wait = () => new Promise(done => setTimeout(done, 50));
for (let turn = 0; turn < 200 && !document.documentElement.dataset.drawn; turn++) await wait();
const form = document.getElementById("filters");
const variants = document.querySelector(".variants");
const cells = selector => [...variants.querySelectorAll(selector)];
const beyond = cell => cell.getBoundingClientRect().right > variants.parentElement.getBoundingClientRect().right + 1;
const shown = () => all(".claim:not([hidden])").map(claim => claim.id);
async function asked(name, value) {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", {bubbles: true}));
  const found = [shown(), all("#counts li:not([hidden]) b").map(count => count.textContent).join(" "),
                 document.getElementById("counted").textContent];
  form.reset();
  await wait();
  return found;
}
async function outcome() {
const filtered = {verdict: await asked("verdict", "not reproduced"), paper: await asked("paper", "P2"),
                  kind: await asked("kind", "said beside the paper"), words: await asked("words", "ZEBRAS slow"),
                  caveats: await asked("verdict", "applies"), nothing: await asked("words", "no such word"),
                  reset: shown()};
form.elements.words.value = "zebras";
form.elements.words.dispatchEvent(new Event("input", {bubbles: true}));
location.hash = "#claim-P1.02";
await wait();
const opened = document.getElementById("claim-P1.02");
const select = document.getElementById("chart-space-figure");
const before = document.querySelector("#chart-space svg").outerHTML;
select.value = "linear_cka_to_base";
select.dispatchEvent(new Event("change", {bubbles: true}));
await wait();
const colour = getComputedStyle(document.body).color;
const heads = [...variants.querySelectorAll("button.sorts")];
const column = () => cells("tbody th[scope=row]").map(cell => cell.firstChild.textContent.trim());
const sorts = heads.length && [];
for (let turn = 0; turn < 3; turn++) {
  heads[1].click();
  sorts.push([column(), heads[1].parentElement.ariaSort]);
}
document.getElementById("queries").scrollIntoView();
dispatchEvent(new Event("scroll"));  // virtual time may pass without a frame, in which a browser tells of it
await wait();
const current = all("nav [aria-current]").map(link => link.hash);
const listed = () => getComputedStyle(document.getElementById("contents-list")).display !== "none";
const folded = listed();
document.getElementById("contents").click();
return {
  problems, width: innerWidth, wide: document.documentElement.scrollWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  images: all("img").map(image => image.naturalWidth),
  empty: all(".chart").filter(chart => !chart.querySelector("svg [role='graphics-symbol']")).map(chart => chart.id),
  broad: all(".chart svg").filter(svg => svg.getBoundingClientRect().right > innerWidth).length,
  unlike: all(".chart svg .role-axis-label text").filter(text => getComputedStyle(text).fill !== colour).length,
  bars: getComputedStyle(document.querySelector("#chart-changes-0 .mark-rect.role-mark path[fill*='better']")).fill,
  fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
  cells: [cells("tbody td").length, cells("tbody td").filter(beyond).length],
  sorts, current, contents: [folded, listed()], here: document.getElementById("here").textContent,
  title: document.title, filtered, opened: opened.open && !opened.hidden,
  redrawn: document.querySelector("#chart-space svg").outerHTML !== before,
  note: document.getElementById("chart-space-note").textContent};
}
outcome().catch(problem => ({problems: [...problems, String(problem.stack)]}))
  .then(found => parent.postMessage(found, "*"));
</script>"""
FRAME = """<!doctype html><body><pre id="outcome"></pre><script>
addEventListener("message", event => { document.getElementById("outcome").textContent = JSON.stringify(event.data); });
</script><iframe src="checked.html" style="border: 0; width: WIDTHpx; height: 1500px"></iframe></body>"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_all_filters_and_fetches_nothing(width, dark, text, tmp_path):
    if not CHROMIUM:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH: the page was not opened in a browser")
    start, _, end = text.rpartition("</body>")
    (tmp_path / "checked.html").write_text(start.replace("<head>", "<head>" + HOOK, 1) + CHECK + "</body>" + end)
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    seen = browse(tmp_path / "frame.html", tmp_path / "profile", dark)
    assert seen["problems"] == [] and seen["fetched"] == [] and seen["title"] == "Should I fine-tune my retriever?"
    assert seen["width"] == width and seen["wide"] <= width and seen["dark"] == dark
    assert seen["images"] == [] and seen["empty"] == [] and seen["broad"] == 0 and seen["unlike"] == 0
    assert seen["bars"] == ("rgb(86, 180, 233)" if dark else "rgb(0, 114, 178)")
    assert seen["cells"] == [30, 0], "the main table does not fit"
    down = ["lora-hard", "full-hard", "base", "bm25", "coded-hard"]
    up = [*down[3::-1], "coded-hard"]
    assert seen["sorts"] == [[down, "descending"], [up, "ascending"], [VARIANTS, None]]
    assert seen["current"] == ["#queries"] and seen["here"] == "Single queries"
    assert seen["contents"] == [width == 1280, True], "the contents are folded where they have no column of their own"
    of_papers = "Claims of the papers, by verdict"
    assert seen["filtered"] == {
        "verdict": [["claim-P1.01"], "0 0 1 0 0", of_papers],
        "paper": [["claim-P2.01", "claim-P2.02", "claim-P2.04", "claim-P2.03"], "1 0 0 0 1", of_papers],
        "kind": [["claim-P2.01"], "0 0 0 1 0", "What is said beside the papers, by verdict"],
        "words": [["claim-P2.01"], "0 0 0 0 0", of_papers],
        "caveats": [["claim-P2.04"], "0 0 0 0 0 1", "Caveats, by verdict"],
        "nothing": [[], "0 0 0 0 0", of_papers],
        "reset": [f"claim-{claim.id}" for claim in CLAIMS.claims],
    }
    assert seen["opened"] and seen["redrawn"] and seen["note"].startswith("Spearman's ρ with the change +0.50")


def browse(path: Path, profile: Path, dark: bool) -> dict[str, Any]:
    """What the page in a frame reported, from the DOM of a headless browser that opened it from disk."""
    quiet = ("background-networking", "component-update", "dev-shm-usage", "gpu", "sync")
    words = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--hide-scrollbars",
        "--window-size=1400,1600",
    ]
    words += [f"--disable-{name}" for name in quiet] + [f"--user-data-dir={profile}"]
    words += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=20000"]
    for _ in range(2):  # a browser that starts on a busy machine may give up once
        done = subprocess.run([*words, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
        reported = re.search(r'<pre id="outcome">(.+?)</pre>', done.stdout, re.DOTALL)
        if reported:
            return json.loads(html.unescape(reported[1]))
    raise AssertionError(f"the page reported nothing: {done.stderr[-2000:]}")
