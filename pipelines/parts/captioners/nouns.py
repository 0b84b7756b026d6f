"""English for captions: what a kind is called, with its article and in the plural, and the nouns of a caption.

Data sets name defects by nouns (hole), plurals (scratches), what cannot be counted (glue) and adjectives (bent). The
nouns of a caption are found by plain rules, or by spaCy where somebody installed it. Knows no pictures.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from pipelines.core import kinds
from pipelines.core.errors import Missing, Problem

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MANY = "many"
MASS = frozenset({
    "aluminium", "aluminum", "brass", "cloth", "concrete", "contamination", "copper", "corrosion", "crazing",
    "damage", "dirt", "dust", "fabric", "foam", "glass", "glue", "insulation", "iron", "leather", "liquid",
    "metal", "oil", "paper", "pitting", "plastic", "porosity", "rubber", "rust", "scale", "steel", "stone",
    "textile", "wear", "wood",
})  # fmt: skip
"""Last words of what cannot be counted."""
SPACY_MODEL = "en_core_web_sm"
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
PHRASE_ENDS = re.compile(r"[^\w\s'\u2019-]|\d")
"""Nothing reaches over these: commas of any script, brackets, numbers."""
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
"""Scripts that leave no space between words: a piece between commas counts as one."""
MOST_UNSPACED = 12
FOREIGN = frozenset({"axis", "bus", "gas", "lens", "chassis", "canvas", "basis", "series", "apparatus"})
"""Singular, although they end like a plural."""
NOT_BENT = frozenset({
    "assembly", "bearing", "bushing", "cable", "casing", "casting", "coating", "coupling", "fitting", "housing",
    "marking", "moulding", "molding", "opening", "packaging", "painting", "plating", "polishing", "printing",
    "ring", "seed", "spring", "string", "table", "tubing", "weld", "wing", "wiring", "finish", "dish", "brush",
    "varnish", "rubbish", "supply", "fly", "thread", "bed", "turntable", "blistering", "chipping", "cracking",
    "peeling", "staining", "welding",
})  # fmt: skip
"""Nouns that end like a participle, an adverb or an adjective."""
GENERIC = frozenset({
    "photo", "photograph", "picture", "image", "img", "mask", "label", "close-up", "closeup", "view", "macro",
    "shot", "background", "surrounding", "part", "area", "place", "side", "middle", "center", "centre", "top",
    "bottom", "left", "right", "corner", "upper", "lower", "front", "back", "defect", "anomaly", "fault", "flaw",
    "train", "training", "val", "valid", "validation", "test", "testing", "detail", "type", "kind", "piece",
    "sample", "example", "direction", "pair", "number", "lot", "bit", "bunch", "couple", "lora", "png", "jpg",
    "jpeg", "sks", "quality", "resolution",
})  # fmt: skip
"""Nouns that every caption may hold, and that tell no picture from another; `upper` and `sks` are taken for ones."""
BETWEEN = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "its", "their", "his", "her", "our", "my", "your", "each",
    "every", "some", "any", "no", "not", "all", "both", "several", "many", "few", "more", "most", "other",
    "another", "such", "of", "in", "on", "at", "by", "with", "without", "from", "to", "into", "onto", "over",
    "under", "above", "below", "near", "across", "along", "around", "through", "between", "against", "behind",
    "beside", "off", "out", "up", "down", "for", "as", "than", "like", "and", "or", "but", "nor", "so", "if",
    "while", "where", "which", "who", "what", "when", "there", "it", "they", "he", "she", "we", "you", "i", "one",
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "is", "are", "was", "were", "be",
    "been", "being", "has", "have", "had", "does", "do", "can", "may", "will", "shows", "show", "runs", "lies",
    "appears", "seems", "looks", "sits", "contains", "features", "includes", "reveals", "very", "too", "quite",
    "rather", "also", "only", "just", "about", "close", "together", "apart", "visible", "good", "bad", "tiny",
    "big", "long", "short", "wide", "narrow", "thin", "thick", "deep", "shallow", "dark", "bright", "light",
    "darker", "brighter", "lighter", "high", "low", "new", "old", "clean", "dirty", "flat", "round", "square",
    "straight", "black", "white", "red", "green", "blue", "yellow", "brown", "grey", "gray", "orange", "different",
    "whole", "single", "horizontally", "vertically", "diagonally", "horizontal", "vertical", "diagonal",
    "industrial", "metallic", "wooden", "electronic", "electrical", "mechanical", "fine", "coarse", "smooth",
    "shiny", "dull", "clear", "faint", "slight",
})  # fmt: skip
"""What a phrase of nouns ends at: little words, verbs that captions use, adjectives that say how it looks."""
ADJECTIVES = frozenset({
    "bent", "broken", "defective", "large", "loose", "missing", "open", "rough", "small", "torn", "uneven",
    "worn",
})  # fmt: skip


def called(name: str) -> str:
    """A defect or a product in words: a kind of ours by its label, any other name without its underscores."""
    known = kinds.load().get(name)
    return known.label.lower() if known is not None else " ".join(name.replace("_", " ").split())


def phrase(noun: str, count: int = 1, how: str = "") -> str:
    """`count` of a noun with an adjective: "a small hole", "three holes", "glue", "two large areas of glue"."""
    last = noun.rsplit(" ", 1)[-1].lower()
    behind = ""
    if last in MASS:
        if count == 1 and not how:
            return noun
        noun, behind = "area", f" of {noun}"
    elif last in ADJECTIVES or (last.endswith("ed") and not last.endswith("eed")):
        noun += " area"
    elif plural(noun):
        return " ".join(word for word in (_counted(count) if count > 1 else "", how, noun) if word)
    words = f"{how} {noun}" if how else noun
    if count == 1:
        return ("an " if words[0].lower() in "aeiou" else "a ") + words + behind
    return f"{_counted(count)} {_several(words)}{behind}"


def plural(noun: str) -> bool:
    """Whether a noun speaks of several already."""
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is"))


def _counted(count: int) -> str:
    return COUNTS[count] if count < len(COUNTS) else MANY


def _several(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else noun + "s"


def candidates(caption: str) -> list[str]:
    """The nouns of a caption by plain rules, singular and in lower case, each once, in their order.

    A kind of defect counts by its whole label ("pin hole"); of words in a row the last ("hairline crack" -> crack).
    """
    text = " ".join(caption.replace("_", " ").lower().split())
    found: list[tuple[int, str]] = []
    for label in _labels():
        pattern = rf"(?<![\w-]){re.escape(label)}(?:e?s)?(?![\w-])"
        found += [(match.start(), label) for match in re.finditer(pattern, text)]
        text = re.sub(pattern, lambda match: "." * len(match[0]), text)
    start = 0
    for piece in [*PHRASE_ENDS.finditer(text), None]:
        end = piece.start() if piece else len(text)
        found += [(start + at, noun) for at, noun in _heads(text[start:end])]
        start = piece.end() if piece else end
    return list(dict.fromkeys(noun for _, noun in sorted(found)))


def by_spacy(captions: Sequence[str]) -> list[list[str]]:
    """The nouns of each caption as spaCy's English model tags them, singular, in lower case. Raises Missing."""
    lacks = spacy_lacks()
    if lacks is not None:
        raise lacks
    spacy: Any = importlib.import_module("spacy")
    reads = spacy.load(SPACY_MODEL, exclude=["parser", "ner"])
    texts = [caption.replace("_", " ") for caption in captions]
    return [list(dict.fromkeys(_tagged(document))) for document in reads.pipe(texts)]


def spacy_lacks() -> Problem | None:
    """What is missing for `by_spacy`, with where it comes from; None where it can be used now."""
    try:
        spacy: Any = importlib.import_module("spacy")
    except ImportError:
        return Missing(
            f"spaCy is not installed: `python -m pip install spacy`, then `python -m spacy download {SPACY_MODEL}`,"
            " bring it; or set nouns = words"
        )
    if not spacy.util.is_package(SPACY_MODEL):
        return Missing(
            f"spaCy is here without its English model: `python -m spacy download {SPACY_MODEL}` brings it; or set"
            " nouns = words"
        )
    return None


def by_words(captions: Sequence[str]) -> list[list[str]]:
    """`candidates` of each."""
    return [candidates(caption) for caption in captions]


NOUNS: dict[str, Callable[[Sequence[str]], list[list[str]]]] = {"spacy": by_spacy, "words": by_words}


def singular(noun: str) -> str:
    """One of what a plural names: "scratches" -> "scratch"; any other word as it is."""
    if not plural(noun) or noun in FOREIGN or len(noun) < 4:
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    return noun[:-2] if noun.endswith(("sses", "xes", "zes", "ches", "shes")) else noun[:-1]


@cache
def _labels() -> tuple[str, ...]:
    """What our kinds are called where that is several words, the longest first."""
    return tuple(
        sorted(
            (one.label.lower() for one in kinds.load().values() if " " in one.label), key=lambda one: (-len(one), one)
        )
    )


def _heads(piece: str) -> Iterable[tuple[int, str]]:
    """(place, noun): the last noun of each run of words that no little word or adjective interrupts."""
    if UNSPACED.search(piece):
        whole = piece.strip()
        return [(0, whole)] if len(whole) <= MOST_UNSPACED else []
    found: list[tuple[int, str]] = []
    ended = True
    for match in WORD.finditer(piece):
        word = match[0].removesuffix("'s").removesuffix("\u2019s")
        if word in BETWEEN or word in ADJECTIVES or _bends(word):
            ended = True
            continue
        noun = singular(word)
        if noun in GENERIC or len(noun) < 2:
            continue
        if ended or not found:
            found.append((match.start(), noun))
        else:
            found[-1] = (match.start(), noun)
        ended = False
    return found


def _bends(word: str) -> bool:
    """Whether a word is an adverb, a participle or an adjective by its ending."""
    if word in MASS or word.endswith("eed"):
        return False
    ends = ("ly", "ed", "ing", "ous", "ful", "ible", "able", "ish")
    return len(word) > 4 and word.endswith(ends) and word not in NOT_BENT


def _tagged(document: Iterable[Any]) -> Iterable[str]:
    for token in document:
        noun = str(token.lemma_).lower().strip()
        if token.pos_ in ("NOUN", "PROPN") and WORD.fullmatch(noun) and noun not in GENERIC and len(noun) > 1:
            yield noun
