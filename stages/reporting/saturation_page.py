"""The saturation study's page: whether the fall grows with what the start was taught, and every start and row."""
from stages.reporting.tables import markdown

TELLS = {"grows": "grows, the change goes down as the start is taught more",
         "does not grow": "does not grow", "cannot tell": "cannot tell whether it grows"}
SCOPE = """Each level is one model, taught with one seed: the intervals hold over queries and over seeds of the \
recipe, not over other ways to teach. The levels learned from the training queries that the recipes learn from \
too, as the paper's base may have learned those of MS MARCO; to be taught more is here also to have seen them more \
often. All recipes have the schedule of the default study, 32 steps of 8 triplets, where the paper's code trained \
for thousands of steps of 512 to 1,024. The negatives are hard for the untouched base, for every start alike; \
mined again by each level they would be harder.
"""


def page(found: dict[str, dict], asked: dict, report, picture: str) -> str:
    """The whole page in Markdown, from what was judged of each collection; those without runs are named."""
    ran = {name: collection for name, collection in found.items() if collection["starts"]}
    parts = ["# Does the fall grow with saturation?\n", _opening(asked, report)]
    if not ran:
        return "\n".join([*parts, "**Nothing was run yet.** `python -m studies.saturation.run run` runs the default "
                          "collection, hours on two cores; what was asked beforehand:\n",
                          *(f"- {question['ask']}" for question in asked["questions"]), ""])
    parts += [f"![Change at each start, and the values]({picture})\n", "## What the runs support\n"]
    for collection in ran.values():
        parts += [f"### {_heading(collection)}\n",
                  *(_question(question, collection, asked) for question in collection["questions"]), ""]
    parts += ["## What stays open\n", *(f"- {collection['title']}: not run.\n" for collection in found.values()
                                        if not collection["starts"]), SCOPE]
    for collection in ran.values():
        parts += [f"## {_heading(collection)}\n", "### The starts\n", _starts(collection, asked), "### Every row\n",
                  _rows(collection, report), _source(collection["source"])]
    return "\n".join(parts)


def _opening(asked: dict, report) -> str:
    level = f"{100 * (1 - report.significance):g} %"
    return f"""arXiv 2506.18535 explains its falls by saturation: the base had learned MS MARCO before. Here that \
is set by hand. One strong recipe teaches the base the target for a number of steps, and then the study's own \
recipes, on the same triplets in the same order, start from each of these models. The fall is judged query by \
query against that start, and its growth by the line of the change over log2(1 + steps of teaching), read from the \
first level to the last; {level} intervals are over clusters of queries and seeds, in per cent of the value of \
`{asked['base']}`. "Does not grow" means surely by less than {report.margin:g} % from the first level to the last; \
a question's entries are corrected as one family. A change that goes down need not be a fall: how many levels have \
one by themselves is said beside. The questions were written before any run: \
[questions.yaml](../studies/saturation/questions.yaml).
"""


def _heading(collection: dict) -> str:
    return f"{collection['title']}: {collection['measure']} on {collection['split']}"


def _question(question: dict, collection: dict, asked: dict) -> str:
    lines = [f"  - {entry['says']}: {SENTENCES[question['kind']](entry, collection, asked)}"
             for entry in question["found"]]
    return "\n".join([f"- **{question['ask']}** {question['answer']}.", *lines])


def _growth(entry: dict, collection: dict, asked: dict) -> str:
    if entry["verdict"] == "not run":
        return "not run"
    first, end = asked["ladder"][0], asked["ladder"][-1]
    falls = [row for row in collection["variants"] if row["recipe"] == entry["recipe"] and row["level"] in asked["ladder"]
             and row["own"]["verdict"] == "worse"]
    told = (f"{TELLS[entry['verdict']]}. From `{first}` to `{end}` the change moves by {_span(entry)}, that is "
            f"{entry['a doubling %']:+.2f} % a doubling; at the levels it is "
            f"{', '.join(f'{change:+.1f}' for change in entry['changes %'])} %, "
            f"a fall by itself at {len(falls)} of {len(asked['ladder'])}")
    if entry["verdict"] == "cannot tell" and entry["detectable %"]:
        told += f". Before correction, a move of {entry['detectable %']:.1f} % would be found 4 times in 5"
    if "by known" in entry:
        beside = entry["by known"]
        told += (f". Over the starts' own values on {beside['split']} ({beside['from']:.3f} to {beside['to']:.3f}): "
                 f"{beside['difference %']:+.1f} % ({beside['low %']:+.1f} to {beside['high %']:+.1f})")
    return told


def _pair(entry: dict, collection: dict, asked: dict) -> str:
    return entry["verdict"] if entry["verdict"] == "not run" else f"{_span(entry)}, {entry['verdict']}"


def _floor(entry: dict, collection: dict, asked: dict) -> str:
    if entry["verdict"] == "not run":
        return "not run"
    taught, untaught, base = entry["values"]
    where = "above the floor" if entry["verdict"] == "better" else "at the floor, as far as can be told"
    return f"{taught:.4f} after {untaught:.4f} untaught, where the base has {base:.4f}: {_span(entry)}, {where}"


SENTENCES = {"growth": _growth, "less": _pair, "last": _pair, "floor": _floor}


def _span(entry: dict) -> str:
    low, middle, high = (f"{entry[key]:+.1f}" for key in ("low %", "difference %", "high %"))
    return f"{middle} % ({low} to {high}; p {_p(entry['p_family'])})"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def _starts(collection: dict, asked: dict) -> str:
    beside = collection["known"]
    heads = ["start", "taught from", "steps", "last loss", *([f"on {beside}"] if beside else []),
             f"on {collection['split']}", f"against {asked['base']} %", "interval", "verdict"]
    lines = []
    for start in collection["starts"]:
        line = [f"`{start['level']}`", start["taught from"] or "–", start["steps"],
                "–" if start["last_loss"] is None else f"{start['last_loss']:.3f}",
                *([f"{start['known']:.4f}"] if beside else []), f"{start['value']:.4f}"]
        lines.append(line + (_changed(start) if "p" in start else ["", "", ""]))
    return markdown(heads, lines) + "\nA start is one model: its interval is over queries alone.\n"


def _rows(collection: dict, report) -> str:
    heads = ["variant", "steps of the start", collection["measure"], "against its start %", "interval", "verdict",
             "against the base %", "interval", "verdict", "drift"]
    lines = [[f"`{row['own']['says']}`", row["steps"], f"{row['value']:.4f}", *_changed(row["own"]),
              *_changed(row["base"]), f"{row['drift']:.3f}"] for row in collection["variants"]]
    some = collection["variants"][0]["own"] if lines else {"queries": 0, "clusters": 0, "seed_runs": 0}
    return markdown(heads, lines) + (
        f"\nOver {some['queries']:,} queries in {some['clusters']:,} clusters, {some['seed_runs']} seeds a row, in per "
        f"cent of the base's value. Each column of verdicts is one family of {len(lines)}, which asks for more than a "
        f"question's few entries do; no difference: surely less than {report.margin:g} %. Drift is 1 - mean cosine of "
        f"a passage's vector to its own under the row's start.\n")


def _changed(entry: dict) -> list[str]:
    return [f"{entry['difference %']:+.1f}", f"{entry['low %']:+.1f} to {entry['high %']:+.1f}", entry["verdict"]]


def _source(told: dict) -> str:
    versions = told["versions"]
    return (f"Part `{told['part']}`: commit {told['commit'][:12]}, {told['device']}, torch {versions['torch']}, "
            f"sentence-transformers {versions['sentence-transformers']}.\n")
