"""English for captions: what a kind is called, with its article and in the plural. Knows no pictures.

Data sets name defects by nouns (hole), plurals (scratches), what cannot be counted (glue) and adjectives (bent).
"""

from pipelines.core import kinds

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MANY = "many"
MASS = frozenset({
    "aluminium", "aluminum", "brass", "cloth", "concrete", "contamination", "copper", "corrosion", "crazing",
    "damage", "dirt", "dust", "fabric", "foam", "glass", "glue", "insulation", "iron", "leather", "liquid",
    "metal", "oil", "paper", "pitting", "plastic", "porosity", "rubber", "rust", "scale", "steel", "stone",
    "textile", "wear", "wood",
})  # fmt: skip
"""Last words of what cannot be counted."""
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
