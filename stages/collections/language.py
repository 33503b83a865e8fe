"""Which language texts are in: by the script of their letters and, for Latin script, by the most usual short words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

DEFAULT = "en"  # where nothing tells it
LETTERS = 200_000  # that are looked at
# The words of each language that a page of it can hardly do without; words that several share count for each.
USUAL = {
    "en": "the of and to in is that it for with as was on are this not be which from",
    "de": "der die und das den von zu ist mit nicht des sich auf ein eine dem für auch wird als",
    "fr": "le la les et des du une est dans que pour qui sur pas de en par il sont au",
    "es": "el la los las y de que en un una por con no para es se del al como su",
    "it": "il di che la è e per un una non del con sono della nel gli dei si da più",
    "pt": "o que não os do da em e uma para com se as de dos por mais são um no",
    "nl": "de het een van en is dat niet op te zijn voor met die aan er ook wordt bij om",
    "sv": "och att det som en är på för av med den till inte om ett har jag kan var de",
    "da": "og at det er en af den til på for ikke som der med har et de sig efter mod",
    "no": "og at det er en av den til på for ikke som ble med har et de seg etter mot",
    "fi": "ja on ei se että oli hän mutta ovat kun niin myös joka tai sekä mukaan olla jos vain kuin",
    "hu": "a az és hogy nem egy van is volt meg ezt de csak mint vagy már még azt ha ki",
    "ro": "și de la în care cu nu este pe un o din pentru sunt mai ca fi au să a",
    "tr": "ve bir bu için ile olarak da de olan daha çok gibi en ne var kadar sonra değil olduğu her",
    "ca": "el la els les i de que en un una per amb no és del dels al com són va",
    "pl": "i w na z do się nie to że jest jak od po za przez dla oraz są przy tego",
    "cs": "a v na se je že s z do to by jako jsou pro ale po není od nebo byl",
    "id": "yang dan di dengan untuk dari pada adalah ini itu dalam tidak ke akan oleh sebagai juga atau bisa ada",
}
WORDS = {code: frozenset(words.split()) for code, words in USUAL.items()}
SCRIPTS = {
    "THAI": "th",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "ARMENIAN": "hy",
    "TAMIL": "ta",
    "ARABIC": "ar",
}


def detect(texts: Iterable[str]) -> str | None:
    """The ISO 639-1 code of the language that most of the texts are in; None where nothing tells it.

    Scripts that several languages use stand for the one with the most text on the web, but for Persian (its letters پ چ
    ژ گ) and Ukrainian (і ї є) letters tell. In Latin script it is the language whose 20 usual words are the most words
    of the texts: 8 per cent of them or more, of at least 20.
    """
    sample = _first(texts)
    scripts = Counter(_script(letter) for letter in sample if letter.isalpha())
    if not scripts:
        return None
    script = scripts.most_common(1)[0][0]
    if script in ("CJK", "HIRAGANA", "KATAKANA"):
        kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
        return "ja" if kana > 0.1 * scripts.total() else "zh"
    if script == "LATIN":
        return _by_words(sample)
    letters = Counter(sample)
    if script == "ARABIC" and sum(letters[letter] for letter in "پچژگ") > 0.01 * scripts["ARABIC"]:
        return "fa"
    if script == "CYRILLIC" and sum(letters[letter] for letter in "іїє") > 0.03 * scripts["CYRILLIC"]:
        return "uk"
    return SCRIPTS.get(script)


def _first(texts: Iterable[str]) -> str:
    taken, length = [], 0
    for text in texts:
        taken.append(text)
        length += len(text)
        if length >= LETTERS:
            break
    return "\n".join(taken).lower()


def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "?").partition(" ")[0]


def _by_words(sample: str) -> str | None:
    words = Counter(re.findall(r"[^\W\d_]+", sample))
    shares = {code: sum(words[word] for word in usual) / max(words.total(), 20) for code, usual in WORDS.items()}
    best = max(shares, key=lambda code: shares[code])
    return best if shares[best] >= 0.08 else None
