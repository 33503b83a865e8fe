"""Short names told in words where they first stand on the page."""

import re
from html import escape

# {} is the number after the @. The more particular before what it holds: RR@10 stands in MRR@10.
WORDS = {
    r"MRR(?:@(\d+))?": "mean reciprocal rank: RR, averaged over queries",
    r"RR@(\d+)": "reciprocal rank: 1 / rank of the first relevant passage, 0 below rank {}",
    r"RR(?! ?@)": "reciprocal rank",
    r"nDCG(?:@(\d+))?": "normalised discounted cumulative gain: graded relevance, less at each lower rank",
    r"MAP(?:@(\d+))?": "mean average precision",
    r"AP(?:@(\d+))?": "average precision: the mean precision at the ranks of all relevant passages",
    r"R@(\d+)": "recall: the share of the relevant passages that are among the first {}",
    r"P@(\d+)": "precision: the share of relevant ones among the first {} passages",
    r"LoRA": "low-rank adaptation: small matrices are trained, and the model's weights stay",
    r"BM25": "Best Match 25: a ranking by shared words, without a trained model",
    r"CKA": "centred kernel alignment: 1 for two spaces of one shape, up to rotation",
    r"SD(?= of)": "standard deviation",
    r"TR": "TREC-COVID, a collection",
    r"NF": "NFCorpus, a collection",
    r"SD(?! of)": "SCIDOCS, a collection",
    r"SF": "SciFact, a collection",
    r"AR": "ArguAna, a collection",
    r"MedQuAD": "Medical Question Answering Dataset",
    r"DVC": "Data Version Control, which runs the stages and records their files",
    r"GPU": "graphics processing unit",
    r"CPU": "central processing unit",
    r"MS MARCO": "Microsoft Machine Reading Comprehension, a collection of web passages",
    r"TREC": "Text Retrieval Conference",
    r"DL": "Deep Learning track",
    r"BEIR": "Benchmarking Information Retrieval, a suite of collections",
    r"DPR": "Dense Passage Retrieval",
    r"GTE": "General Text Embeddings, a family of models",
    r"NQ": "Natural Questions, a collection",
    r"QA": "question answering",
    r"UMAP": "Uniform Manifold Approximation and Projection",
    r"TPE": "tree-structured Parzen estimator",
    r"OOD": "out of domain",
    r"CSV": "comma-separated values",
}
PLAIN = r"<(?P<opaque>script|style|svg|title|option|nav|code|h1|pre)\b.*?</(?P=opaque)>"
MARKUP = re.compile(rf"({PLAIN}|<[^>]+>)", re.DOTALL)
TAG = re.compile(r"<(/?)(details|summary)\b")
QUOTED = re.compile("“[^”]*”")  # the words of others, which an expansion would break
Left = dict[re.Pattern[str], str]


def told(page: str) -> str:
    """The page with an expansion after the first of each short name, in its text and not in what is code or drawn.

    Nor in what is quoted, nor before an 's, which would stand alone: the next place tells the name.
    What is folded away may be read after what comes below it, so that a name that stands in there first is told twice.
    """
    head, body, rest = page.partition("<body>")
    seen: Left = {re.compile(rf"(?<![\w@-]){name}(?![\w@]|(?:&#39;|['’])s\b)"): words for name, words in WORDS.items()}
    folded = dict(seen)
    parts, at, depth = [], 0, 0
    for markup in MARKUP.finditer(rest):
        parts += [_told(rest[at : markup.start()], folded if depth else seen, folded), markup[0]]
        at = markup.end()
        if tag := TAG.match(markup[0]):
            opens = not tag[1]
            depth += {("details", True): 1, ("details", False): -1, ("summary", True): -1, ("summary", False): 1}[
                tag[2], opens
            ]
    return head + body + "".join(parts) + rest[at:]


def _told(words: str, left: Left, folded: Left) -> str:
    """Some text with the first of each name in `left` expanded; what was found leaves `left` and `folded`."""
    if not words.strip():
        return words
    found = []
    unquoted = QUOTED.sub(lambda quote: " " * len(quote[0]), words)
    for name in list(left):
        if match := name.search(unquoted):
            number = match[1] if name.groups else None
            found.append((match.start(), match.end(), escape(left.pop(name).format(number))))
            folded.pop(name, None)
    for start, end, expansion in sorted(found, reverse=True):
        short = f'<abbr title="{expansion}">{words[start:end]}</abbr> <span class="told">({expansion})</span>'
        words = words[:start] + short + words[end:]
    return words
