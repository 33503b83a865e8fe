"""The cause study's page and picture: what the runs support, what stays open, and every row."""
from pathlib import Path

from stages.reporting.tables import markdown

SCOPE = """What no run here can settle: these are {steps} steps of {batch} triplets on small collections, texts cut at \
64 tokens where a row does not say 256, and one base model. The paper's code trained for thousands of steps of 512 to \
1,024 triplets and searched 8.8 million passages; its own figures are not judged by these.

Where rows of one question differ in more than it names: in-batch softmax and contrastive pairs batch the same \
triplets in their own order; BM25's negatives come from its ranks 1 to 200, the base's from 51 to 200, so the window \
differs with the pool; "one fixed rank" slides to the next allowed rank where a passage may not be a negative, which \
on the default collection is often (report.md has the audit of such a draw). There, too, every allowed negative is \
some other training query's positive, because passages that a judged query asks for never teach: "at random" means \
from those. Vectors and training are computed in bfloat16, for the base as for the rest.
"""


def page(found: dict[str, dict], report, picture: str) -> str:
    """The whole page in Markdown, from the answered questions and the rows of each collection."""
    ran = {name: collection for name, collection in found.items() if collection["runs"]}
    first = next(iter(ran.values()))
    cell = next(cell for cell in first["runs"]["cells"].values() if cell["seed_runs"])
    copy = next(iter(cell["seed_runs"].values()))
    level = f"{100 * (1 - report.significance):g} %"
    parts = ["# Why did the models fall?\n", f"""Controlled runs: within a seed, rows that are compared saw the same \
triplets and differ in what the question names (exceptions are at the end). Changes are in per cent of the base's \
value, with {level} intervals over clusters of queries and, where there are several, seeds; a question's pairs are \
corrected as one family. "No difference" means surely less than {report.margin:g} %. "Not shown" is not "no". The \
questions were written before the runs ended, but for one that says so: \
[questions.yaml](../studies/cause/questions.yaml). The runs were made by `python -m studies.cause.run run`.
""", f"![Changes, drift and validation]({picture})\n", "## What the runs support\n"]
    for collection in ran.values():
        parts += [f"### {_heading(collection)}\n", *(_answer(question) for question in collection["questions"]), ""]
    parts += ["## What stays open\n", *(_open(collection) for collection in found.values()),
              SCOPE.format(steps=copy["steps"], batch=cell["batch"]), "## Every row\n"]
    for collection in ran.values():
        parts += [f"### {_heading(collection)}\n", _rows(collection), _geometry(collection), _sources(collection)]
    return "\n".join(parts)


def _heading(collection: dict) -> str:
    return f"{collection['title']}: {collection['measure']} on {collection['split']}"


def _answer(question: dict) -> str:
    pairs = "\n".join(f"  - {pair['says']}: {_change(pair)}" for pair in question["pairs"])
    return f"- **{question['ask']}** {question['answer']}.\n{pairs}"


def _change(pair: dict) -> str:
    if "difference %" not in pair:
        return pair["verdict"]
    return (f"{pair['difference %']:+.1f} % ({pair['low %']:+.1f} to {pair['high %']:+.1f}; p {_p(pair['p_family'])}), "
            f"{pair['verdict']}")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def _open(collection: dict) -> str:
    """The questions of one collection that its runs leave open, with what they could have shown."""
    if not collection["runs"]:
        return f"- {collection['title']}: not run.\n"
    lines = []
    for question in collection["questions"]:
        unsure = [pair for pair in question["pairs"] if pair["verdict"] not in ("worse", "better", "no difference")]
        if unsure:
            told = "; ".join(f"{pair['says']}: {_unsure(pair)}" for pair in unsure)
            lines.append(f"- {question['ask']} {told}.")
    return f"{collection['title']}, {collection['split']}:\n\n" + "\n".join(lines or ["- nothing"]) + "\n"


def _unsure(pair: dict) -> str:
    if not pair.get("detectable %"):
        return pair["verdict"]
    return f"{pair['verdict']}; before correction, a change of {pair['detectable %']:.1f} % would be found 4 times in 5"


def _rows(collection: dict) -> str:
    steps = sorted({step for row in collection["variants"] for step in row["watched"]})
    heads = ["variant", "change %", "interval", "detectable", "verdict", "drift", "last loss",
             *(f"validation at {step}" for step in steps)]
    lines = [[f"`{row['variant']}`", f"{row['difference %']:+.1f}", f"{row['low %']:+.1f} to {row['high %']:+.1f}",
              "–" if row["detectable %"] is None else f"{row['detectable %']:.1f}", row["verdict"],
              f"{sum(row['drift']) / len(row['drift']):.3f}", f"{sum(row['loss']) / len(row['loss']):.3f}",
              *(f"{row['watched'].get(step, float('nan')):.3f}" for step in steps)] for row in collection["variants"]]
    base = collection["variants"][0]
    return markdown(heads, lines) + (
        f"\n{_bases(collection)}, over {base['queries']:,} queries in {base['clusters']:,} clusters. Seeds a row: "
        f"{base['seed_runs']}. Drift is 1 - mean cosine of a passage's vector to its own under the base. "
        f"Validation is RR@10 of a small fixed sample. Verdicts are corrected "
        f"over all {len(collection['variants'])} rows of the table, which asks for more than a question's few pairs do.\n")


def _bases(collection: dict) -> str:
    """Each untouched row that rows are compared with, and its value."""
    cells, values = collection["runs"]["cells"], collection["runs"]["values"]
    names = dict.fromkeys(cells[row["variant"]]["base"] for row in collection["variants"])
    told = [f"`{name}` has {values[name, collection['split'], collection['measure']].mean():.4f}" for name in names]
    return "Compared with its own start: " + ", ".join(told)


def _geometry(collection: dict) -> str:
    """Whether the shape of the space goes with the change, over all rows."""
    told = collection["geometry"]
    if not told:
        return ""
    lines = [[name.replace("_", " "), "–" if found["rho"] is None else f"{found['rho']:.2f}", _p(found["p"]),
              found["n"]] for name, found in told.items()]
    return ("Does the shape of the space go with the change? Spearman's ρ over the rows; rows that share a loss are "
            "not independent, and a correlation is no cause.\n\n" + markdown(["figure", "ρ", "p", "n"], lines))


def _sources(collection: dict) -> str:
    return "\n".join(f"Part `{told['part']}`: commit {told['commit'][:12]}, {told['threads']} thread(s), torch "
                     f"{told['versions']['torch']}, sentence-transformers {told['versions']['sentence-transformers']}."
                     for told in collection["runs"]["sources"]) + "\n"


def draw(found: dict[str, dict], sweeps: dict[str, list[str]], path: Path) -> None:
    """Three panels of the first collection: change by loss, change against drift, validation while training."""
    from stages.reporting import plotting
    collection = next(collection for collection in found.values() if collection["runs"])
    plotting.save(_figure(collection, sweeps), path)


def _figure(collection: dict, sweeps: dict[str, list[str]]):
    from stages.reporting import plotting
    return plotting.styled(_panels)(collection["variants"], sweeps)


def _panels(rows: list[dict], sweeps: dict[str, list[str]]):
    from matplotlib.figure import Figure

    from stages.reporting import plotting
    by_name = {row["variant"]: row for row in rows}
    losses = [row for row in rows if "_" not in row["variant"]]
    looks = plotting.looks([row["variant"] for row in losses])
    figure = Figure(figsize=(9, 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 1.1])
    bars, watched, drifts = (figure.add_subplot(grid[place]) for place in ((0, 0), (0, 1), (1, slice(None))))
    for at, row in enumerate(losses):
        color = {"worse": plotting.WORSE, "better": plotting.BETTER}.get(row["verdict"], plotting.UNCLEAR)
        bars.errorbar(row["difference %"], at, xerr=[[row["difference %"] - row["low %"]],
                      [row["high %"] - row["difference %"]]], fmt="o", color=color, capsize=2)
        watched.plot(list(row["watched"]), list(row["watched"].values()), label=row["variant"], **looks[row["variant"]])
    bars.set_yticks(range(len(losses)), [row["variant"] for row in losses])
    bars.invert_yaxis()
    bars.axvline(0, color="0.2", linewidth=0.8)
    bars.set_xlabel("change against the base, %")
    bars.set_title("One rate, one draw of hard negatives", loc="left")
    watched.set_xscale("symlog", linthresh=8)
    watched.set_xticks([0, 8, 32, 128], ["0", "8", "32", "128"])
    watched.set_xlabel("steps")
    watched.set_title("Validation RR@10 (small sample)", loc="left")
    if losses:
        watched.legend(fontsize=7)
    for (name, members), look in zip(sweeps.items(), plotting.looks(list(sweeps)).values()):
        known = [by_name[row] for row in members if row in by_name]
        places = [sum(row["drift"]) / len(row["drift"]) for row in known]
        drifts.errorbar(places, [row["difference %"] for row in known],
                        yerr=[[row["difference %"] - row["low %"] for row in known],
                              [row["high %"] - row["difference %"] for row in known]], marker="o", capsize=2,
                        label=name, **look)
    drifts.axhline(0, color="0.2", linewidth=0.8)
    drifts.set_xlabel("drift: 1 - mean cosine of a passage to itself under the base")
    drifts.set_ylabel("change against the base, %")
    drifts.set_title("Four rates a sweep, from the lowest (left) to the highest", loc="left")
    if drifts.has_data():
        drifts.legend()
    return figure
