"""The page says what its inputs say, and works in a browser: both widths, both colour schemes, nothing fetched."""
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import page
from stages.reporting.page import charts
from stages.reporting.page import page_sections

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROWS = ["bm25", "base", "full-hard", "lora-hard", "coded-hard"]
TRAINED = ROWS[2:]
EVIL = "</script><script>document.title = 'taken'</script><b>bold</b> & \"quoted\""


def entry(row: str, corpus: str, difference: float, verdict: str, seeds: int = 1) -> dict:
    copies = {f"seed-{seed}": 0.5 + difference + 0.01 * seed for seed in range(seeds)}
    found = {"variant": row, "corpus": corpus, "split": "test", "measure": "RR@10", "value": 0.5 + difference,
             "seeds": seeds, "spread": None if seeds == 1 else 0.01, "by_seed_run": copies}
    return found if row == "base" else found | {
        "base": 0.5, "difference": difference, "low": difference - 0.02, "high": difference + 0.02, "detectable": 0.03,
        "better": 10, "worse": 5, "equal": 25, "queries": 40, "clusters": 12, "p": 0.01, "verdict": verdict}


def claim(name: str, verdict: str, **changed) -> dict:
    return {"id": name, "paper": name.split(".")[0], "place": "Section IV", "rests": "draft", "says": f"Claim {name}",
            "quantity": "share, %", "expected": 3.9, "tolerance": [-0.05, 0.05], "sign": None, "found": 0.649, "verdict": verdict,
            "why": "It was counted.", "how": "a / b", "source": "a table", "note": None} | changed


CLAIMS = {"papers": {"P1": {"arxiv": "2506.18535", "title": "A draft", "read": "v1"},
                     "P2": {"arxiv": "2311.09765", "title": EVIL, "read": "v2"}},
          "claims": [claim("P1.01", "fails"), claim("P1.02", "holds", found=[3.8, 4.0], note="as printed"),
                     claim("P1.03", "contradicted by the paper's own figures", expected=None, found=None,
                           tolerance=None),
                     claim("P2.01", "cannot tell", rests="run", says="Zebras are slow"),
                     claim("P2.02", "not tested at this scale", rests="scale"), claim("P2.03", "holds", says=EVIL)]}


def copies(seeds: int) -> list[dict]:
    log = [{"step": 0, "RR@10": 0.6}, *({"step": step, "loss": 2 / step} for step in range(1, 16)),
           {"step": 16, "loss": 0.1, "RR@10": 0.7}]
    return [{"seed": seed, "steps": 16, "trainable": 1000, "total": 4000, "tensors": 9, "changed": 3, "log": log}
            for seed in range(seeds)]


def transferred(rows: list[str], away: bool) -> dict:
    """What stages.transfer says of the rows: each but the base 10 % above it, away from home where that is measured."""
    told = [{"variant": row, "taught": "in_domain" if row in TRAINED else None, "in_domain": "in_domain", "part": None,
             "changes": {"in_domain": 10.0, "out_of_domain": 10.0}, "correlation": None, **{place: {
                 "sets": [name], "value": 0.55, "against": 0.5, "difference": 0.05, "low": 0.03, "high": 0.07, "won": 1,
                 "over": "queries", "difference %": 10.0, "low %": 6.0, "high %": 14.0} if name == "in_domain" or away else
                 None for place, name in (("inside", "in_domain"), ("outside", "out_of_domain"))}} for row in rows]
    return {"measure": "RR@10", "base": "base", "alpha": 0.05, "variants": told, "pairs": [],
            "sets": {"in_domain": ["in_domain test"]}, "passages": {},
            "similarity": {"in_domain": {"in_domain": 1.0, "out_of_domain": 0.25}} if away else {}}


def study(folder: Path, seeds: int = 1, trained: bool = True, outside: bool = True, full: bool = True) -> Path:
    """A folder with params.yaml and all inputs of the page; not `full`: no cause, no claims, no figures of spaces."""
    yaml = YAML()
    settings = yaml.load((ROOT / "params.yaml").read_text())
    settings["retrievers"] = {row: settings["retrievers"][row] for row in ROWS if trained or row not in TRAINED}
    settings["rerankers"], settings["interpolations"], settings["report"]["pairs"] = {}, {}, []
    settings["seeds"] = list(range(seeds))
    settings["report"]["outside"] = settings["report"]["outside"] if outside else None
    (folder / "reports/training").mkdir(parents=True)
    with open(folder / "params.yaml", "w") as handle:
        yaml.dump(settings, handle)
    rows = list(settings["retrievers"])
    verdicts = {"bm25": (-0.1, "worse"), "base": (0.0, ""), "full-hard": (0.004, "cannot tell"),
                "lora-hard": (0.05, "better")}                      # coded-hard has a log and no result
    results = [entry(row, corpus, *verdicts[row], seeds if row in TRAINED else 1)
               for corpus in ("in_domain", "out_of_domain") for row in rows if row in verdicts]
    for row in rows:
        log = {"variant": row, "seed_runs": copies(seeds) if row in TRAINED else []}
        (folder / f"reports/training/{row}.json").write_text(json.dumps(log))
    spaces = {row: {"effective_rank": 200.0 + at, "linear_cka_to_base": 1 - at / 10} for at, row in enumerate(rows[1:])}
    ranked = {name: {"rho": 0.5, "p": 0.2, "n": 3} for name in ("effective_rank", "linear_cka_to_base")}
    place = {"corpus": "in_domain", "split": "test", "measure": "RR@10"}
    files = {
        "pairs": [{**entry("lora-hard", "in_domain", 0.05, "better"), "against": "full-hard", **place}] if full else [],
        "results": results, "projection": {"variants": {row: {"trustworthiness": 0.9} for row in rows[1:]} if full else {}},
        "diagnosis": {"geometry": spaces if full else {}, "correlation": ranked if full else {}, "hygiene": {}},
        "negatives": {"hard": {
            "triplets": 8, "queries": 8, "above_positive": 0.1, "mean_gap": 0.2, "near_duplicates": 0, "ranks": {
                "window": None}, "relevant_to_own_query": 0, "relevant_to_judged_query": 0,
            "relevant_to_training_query": 1}},
        "cause": {"default": {"title": "Planted", "measure": "RR@10", "split": "test", "geometry": {},
                              "variants": [{"queries": 40, "seed_runs": 3}], "questions": [
            {"ask": "Is b worse?", "expect": "worse", "answer": "Yes", "pairs": [
                {"says": "b for a", "difference %": -17.55, "low %": -25.4, "high %": -9.7, "p_family": 0.00001,
                 "detectable %": None, "verdict": "worse"}, {"says": "z", "verdict": "not run"}]}]}} if full else {},
        "claims": CLAIMS if full else {"papers": {}, "claims": []}, "transfer": transferred(rows, full and outside)}
    for name, content in files.items():
        (folder / f"reports/{name}.json").write_text(json.dumps(content))
    from PIL import Image
    Image.new("RGB", (1350, 500), "white").save(folder / "reports/picture.png")
    for corpus in ("in_domain", "out_of_domain"):
        (folder / "data/corpora" / corpus).mkdir(parents=True)
        (folder / "data/corpora" / corpus / "card.json").write_text(json.dumps(
            {"documents": 1234, "fingerprint": "9" * 64, "origin": {"scipy": "1"}}))
    return folder


def build(folder: Path, monkeypatch) -> str:
    monkeypatch.chdir(folder)
    inputs = {name: f"reports/{name}.json" for name in
              ("results", "pairs", "transfer", "projection", "negatives", "diagnosis", "cause", "claims")}
    inputs |= {name: "reports/picture.png" for name in ("transferred", "projected", "audited", "caused")}
    inputs |= {"training": "reports/training", "corpora": "data/corpora", "models": "data/models", "runs": "data/runs",
               "lock": "dvc.lock", "out": "reports/index.html"}
    done = CliRunner().invoke(page.main, [word for name, path in inputs.items() for word in (f"--{name}", path)])
    assert done.exit_code == 0, done.exception or done.output
    return (folder / "reports/index.html").read_text()


def words(text: str) -> str:
    """What a reader sees of some HTML, without scripts and styles, on one line."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def charts(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)[1])


def records(chart: dict) -> list[dict]:
    return [record for layer in chart["layer"] for record in layer["data"]["values"]]


def test_the_page_says_what_its_inputs_say(tmp_path, monkeypatch):
    text = build(study(tmp_path), monkeypatch)
    said = words(text)
    order = [said.index(title) for title in
             ("The answer Fine-tune", "Every value is a link", "below the median detectable change",
              "mean RR@10 out of domain", "Training loss",
              "trustworthiness", "Figure on the horizontal axis", "encoded passages/s", "near-duplicate %",
              "Controlled runs", "Show all", "Code and params.yaml behind these numbers")]
    assert order == sorted(order)
    for sentence in ("RR@10 0.5000 becomes 0.5500 on in_domain test, +10.0 % (95 % interval +6.0 to +14.0, better).",
                     "lora-hard minilm, lora, hard, printed 0.5500 +10.0 (+6.0 to +14.0) better",
                     "bm25 bm25, none, none, none 0.4000 −20.0 (−24.0 to −16.0) worse 6.0 10 / 5 / 25",
                     "lora-hard home 0.5500 +10.0 (+6.0 to +14.0) 0.5500 0.5000 +10.0 (+6.0 to +14.0) 1 of 1",
                     "similarity 1.00 0.25",
                     "b for a worse −17.6 −25.4 to −9.7 < 0.0001 –", "z not run –", "Is b worse? Yes.",
                     "tolerance −0.05 to +0.05", "expected 3.9, found 3.8 to 4",
                     "dvc repro search@lora-hard-home evaluate", "no git here", "There is no dvc.lock"):
        assert sentence in said, sentence
    assert build(tmp_path, monkeypatch) == text
    assert len(text) < 5_000_000


def test_every_link_has_its_target_and_no_id_stands_twice(tmp_path, monkeypatch):
    text = build(study(tmp_path), monkeypatch)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and "claim-P1.01" in ids
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links <= set(ids) and sum(link.startswith("from-") for link in links) == 8
    marked = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert set(re.findall(r'href="(?!#)([^"]*)', marked)) == {"data:,"} and not re.search(r'src="(?!data:)', marked)
    assert set(charts(text)) <= set(ids)


def test_words_of_others_stay_words(tmp_path, monkeypatch):
    text = build(study(tmp_path), monkeypatch)
    assert EVIL not in text and "<b>bold" not in text and EVIL.replace('"quoted"', "") [:20] in words(text)


def test_bars_and_points_are_the_results(tmp_path, monkeypatch):
    drawn = charts(build(study(tmp_path, seeds=2), monkeypatch))
    bars = {record["variant"]: record for record in records(drawn["chart-degradation-0"]) if "verdict" in record}
    assert {row: round(bar["change"], 6) for row, bar in bars.items()} == \
        {"bm25": -20, "full-hard": 0.8, "lora-hard": 10}
    assert (round(bars["lora-hard"]["low"], 6), round(bars["lora-hard"]["high"], 6)) == (6, 14)
    everything = json.dumps(drawn["chart-degradation-0"])
    assert '"seed_run": "seed-1"' in everything and '"variant": "coded-hard"}' in everything and "no run" in everything
    scales = [layer["encoding"]["x"]["scale"] for number in (0, 1)
              for layer in drawn[f"chart-degradation-{number}"]["layer"] if "scale" in layer["encoding"].get("x", {})]
    assert len(scales) == 2 and scales[0] == scales[1]
    places = [record for record in records(drawn["chart-space"]) if "figure" in record]
    assert {(record["variant"], record["kind"]) for record in places} == {
        ("base", "not trained"), ("full-hard", "trained"), ("lora-hard", "trained")}


def test_losses_are_means_over_an_eighth_and_labels_do_not_meet():
    assert charts.running_means([(step, float(step)) for step in range(1, 17)])[:2] == [(2, 1.5), (3, 2.5)]
    assert charts.running_means([]) == [] and charts.running_means([(4, 2.0)]) == [(4, 2.0)]
    moved = sorted(charts.apart([0.0, 0.1, 0.1, 5.0], 1.0))
    assert all(upper - lower > 0.99 for lower, upper in zip(moved, moved[1:])) and moved[-1] == 5


@pytest.mark.parametrize("architecture", [{"seeds": 3}, {"outside": False}, {"trained": False}, {"full": False},
                                   {"trained": False, "full": False, "outside": False}])
def test_other_studies_have_their_page(shape, tmp_path, monkeypatch):
    said = words(build(study(tmp_path, **shape), monkeypatch))
    assert ("No row of this study is trained." in said) == (shape.get("trained") is False)
    assert ("No claim is recorded." in said and "No part of the cause study" in said) == (shape.get("full") is False)
    away = shape.get("full", True) and shape.get("outside", True)
    assert ("so that nothing is out of domain" in said) != away and ("What is forgotten" in said) == away
    assert ("out_of_domain test" in said.partition("Every measure")[0]) == shape.get("outside", True)


def test_costs_are_means_over_copies_and_a_resumed_training_has_no_time():
    recorded = [{"stage": "train", "name": f"a.seed-{seed}", "train_seconds": 10.0 * seed, "peak_rss_mb": 100,
                 "resumed": False, "machine": "m", "gpu": "nvml", "gpu_mean_percent": 40.0 * seed} for seed in (1, 2)]
    recorded += [{"stage": "rerank", "name": "a", "pairs_per_second": 80.4}]
    recorded += [{"stage": "train", "name": "b.seed-1", "train_seconds": 3.0, "peak_rss_mb": 50, "resumed": True}]
    logs = {row: {"seed_runs": copies(1)} for row in ("a", "b")}
    from stages.params.report import Report, Target
    report = Report(base="base", primary=Target(corpus="in_domain", split="test", measure="RR@10"), alpha=0.05, margin=2.0,
                    resamples=2000, shown=3)
    found = page_sections.costs([], report, logs, recorded, charts.looks(["a", "b"]))
    assert [line["cells"] for line in found["lines"]] == \
        [["1,000", "16", "15", "100", "–", "80", "60", "–"], ["1,000", "16", "–", "50", "–", "–", "–", "–"]]
    assert not found["without"]


def test_a_sign_is_a_minus_and_a_range_keeps_its_hyphen():
    assert page_sections.minus("-1.0 (-2 to +3), ranks 51-200, lora-3e-4") == "−1.0 (−2 to +3), ranks 51-200, lora-3e-4"
    assert [page_sections.amount(value) for value in (None, [1, 2.5], -0.6491, 22713216, "all")] == \
        ["–", "1 to 2.5", "−0.6491", "22,713,216", "all"]


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
const shown = () => all(".claim:not([hidden])").map(claim => claim.id);
async function asked(name, value) {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", {bubbles: true}));
  const found = [shown(), all("#counts b").map(count => count.textContent).join(" ")];
  form.reset();
  await wait();
  return found;
}
async function outcome() {
const filtered = {verdict: await asked("verdict", "fails"), paper: await asked("paper", "P2"),
                  rests: await asked("rests", "run"), words: await asked("words", "ZEBRAS slow"),
                  nothing: await asked("words", "no such word"), reset: shown()};
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
return {
  problems, width: innerWidth, wide: document.documentElement.scrollWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  images: all("img").map(image => image.naturalWidth),
  empty: all(".chart").filter(chart => !chart.querySelector("svg [role='graphics-symbol']")).map(chart => chart.id),
  broad: all(".chart svg").filter(svg => svg.getBoundingClientRect().right > innerWidth).length,
  unlike: all(".chart svg .role-axis-label text").filter(text => getComputedStyle(text).fill !== colour).length,
  bars: getComputedStyle(document.querySelector("#chart-degradation-0 .mark-rect.role-mark path[fill*='better']")).fill,
  fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
  title: document.title, filtered, opened: opened.open && !opened.hidden,
  redrawn: document.querySelector("#chart-space svg").outerHTML !== before,
  told: document.getElementById("chart-space-told").textContent};
}
outcome().catch(problem => ({problems: [...problems, String(problem.stack)]}))
  .then(found => parent.postMessage(found, "*"));
</script>"""
FRAME = """<!doctype html><body><pre id="outcome"></pre><script>
addEventListener("message", event => { document.getElementById("outcome").textContent = JSON.stringify(event.data); });
</script><iframe src="checked.html" style="border: 0; width: WIDTHpx; height: 1500px"></iframe></body>"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_all_filters_and_fetches_nothing(width, dark, tmp_path, monkeypatch):
    if not CHROMIUM:
        pytest.skip("no chromium on PATH: the page was not opened in a browser")
    text = build(study(tmp_path), monkeypatch)
    start, _, end = text.rpartition("</body>")
    (tmp_path / "checked.html").write_text(start.replace("<head>", "<head>" + HOOK, 1) + CHECK + "</body>" + end)
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    found = browse(tmp_path / "frame.html", tmp_path / "profile", dark)
    assert found["problems"] == [] and found["fetched"] == [] and found["title"] == "Should I fine-tune my retriever?"
    assert found["width"] == width and found["wide"] <= width and found["dark"] == dark
    assert found["images"] == [1350] * 4 and found["empty"] == [] and found["broad"] == 0 and found["unlike"] == 0
    assert found["bars"] == ("rgb(86, 180, 233)" if dark else "rgb(0, 114, 178)")
    assert found["filtered"] == {
        "verdict": [["claim-P1.01"], "0 1 0 0 0"],
        "paper": [["claim-P2.01", "claim-P2.02", "claim-P2.03"], "1 0 0 1 1"],
        "rests": [["claim-P2.01"], "0 0 0 1 0"], "words": [["claim-P2.01"], "0 0 0 1 0"],
        "nothing": [[], "0 0 0 0 0"], "reset": [f"claim-{claim['id']}" for claim in CLAIMS["claims"]]}
    assert found["opened"] and found["redrawn"] and found["told"].startswith("Spearman's ρ with the change +0.50")


def browse(path: Path, profile: Path, dark: bool) -> dict:
    """What the page in a frame reported, from the DOM of a headless browser that opened it from disk."""
    done = subprocess.run([
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-sync", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--window-size=1400,1600",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=20000", "--dump-dom",
        path.as_uri()], capture_output=True, text=True, timeout=120)
    outcome = html.unescape(re.search(r'<pre id="outcome">(.*?)</pre>', done.stdout, re.DOTALL)[1])
    assert outcome, f"the page reported nothing: {done.stderr[-2000:]}"
    return json.loads(outcome)
