"""Tokens of texts for BM25, by the language of the corpus."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

NORWEGIAN = {"nb": "no", "nn": "no"}  # both under the name that the lists know
DOTTED = {"tr": str.maketrans("İI", "iı"), "az": str.maketrans("İI", "iı")}  # how these languages lower I
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
WORD = r"[\w\p{M}\u200c\u200d]"  # vowel signs and joiners belong to the word
RUNS = rf"(?V1)([{UNSPACED}]+)|([{WORD}--[{UNSPACED}]]{{2,}})"


@dataclass(frozen=True)
class Tokenization:
    """How texts become tokens: the stemmer and the list of stop words of these languages, "" for none.

    English (`english`) is as bm25s cuts it: runs of two or more letters, lower case. Otherwise texts are first brought
    to Unicode's NFKC, and scripts that are written without spaces, or whose words carry endings in the way that Korean
    does, become overlapping pairs of characters (bigrams), as Lucene's CJKAnalyzer makes them.
    """

    language: str
    stemmer: str
    stop_words: str
    english: bool


def of_language(language: str) -> Tokenization:
    """What PyStemmer and bm25s have for a language (ISO 639)."""
    import Stemmer
    from bm25s.tokenization import Tokenizer

    name = NORWEGIAN.get(language, language)
    stemmer = stop_words = name
    try:
        Stemmer.Stemmer(name)
    except KeyError:
        stemmer = ""
    try:
        Tokenizer(stopwords=name)
    except ValueError:
        stop_words = ""
    return Tokenization(language, stemmer, stop_words, language == "en")


def split(texts: list[str], how: Tokenization) -> list[list[str]]:
    """The tokens of each text."""
    import bm25s
    import Stemmer
    from bm25s.tokenization import Tokenizer

    if how.english:
        stemmer = Stemmer.Stemmer("english")
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
    stop_words = frozenset(Tokenizer(stopwords=how.stop_words or None).stopwords)
    stem = Stemmer.Stemmer(how.stemmer).stemWords if how.stemmer else list
    return [stem([word for word in _words(text, how.language) if word not in stop_words]) for text in texts]


def _words(text: str, language: str) -> list[str]:
    """Words in lower case; of an unspaced run its pairs of characters, or its only one."""
    import regex

    words = []
    for unspaced, word in regex.findall(RUNS, unicodedata.normalize("NFKC", text)):
        if word:
            words.append(word.translate(DOTTED.get(language, {})).lower())
        else:
            characters = regex.findall(r"\X", unspaced)
            pairs = ["".join(pair) for pair in pairwise(characters)]
            words += pairs or characters
    return words
