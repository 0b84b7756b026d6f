"""Captions put together: templates with named fields, and variants of a prompt for CLIP to choose among.

Knows words; no pictures and no networks.
"""

import re
from collections.abc import Iterable, Mapping
from string import Formatter

from pipelines.core.errors import BadInput
from pipelines.parts.captioners import nouns
from pipelines.parts.captioners.seen import Seen

TEMPLATE = "{caption}, {defect}, {keywords}"
"""As the steel pipeline mixes; {token} is the word that a textual inversion taught."""
INSTRUCTION = (
    "Describe this {defect} defect on this {product} surface in detail: its texture, shape and visual features."
)
"""What a model is asked that takes instructions."""
VARIANTS = (
    "{p}",
    "{p}, high detail, macro photography",
    "{p}, industrial inspection, surface texture",
    "{p}, {product} defect, {defect}",
    "{p}, grayscale, monochrome, no humans",
)
BETWEEN = re.compile(r",(?![^(\[<]*[)\]>])")
"""A comma that stands in no brackets: those weigh words."""


def mixed(
    template: str,
    *,
    caption: str = "",
    token: str = "",
    defect: str = "",
    product: str = "",
    folder: str = "",
    keywords: Iterable[str] = (),
) -> str:
    """The template with its fields, each of them by its name here; what is empty or said already is left out.

    `defect` and `product` are as the data set calls them. Raises BadInput for a field that there is not.
    """
    fields = {
        "caption": caption,
        "token": token,
        "defect": nouns.called(defect),
        "product": nouns.called(product),
        "folder": folder,
        "keywords": ", ".join(keywords),
    }
    return tidy(filled(template, fields, "template"))


def variants(prompt: str, defect: str = "", product: str = "") -> list[str]:
    """The prompt first, then its variants in VARIANTS, none twice."""
    fields = {"p": prompt, "defect": nouns.called(defect), "product": nouns.called(product)}
    return distinct(tidy(filled(template, fields, "template")) for template in VARIANTS)


def asked(prompt: str, seen: Seen) -> str:
    """A question or instruction for one picture. Raises BadInput for a field that there is not."""
    fields = {"defect": nouns.called(seen.defect), "product": nouns.called(seen.product)}
    return one_line(filled(prompt, fields, "prompt"))


def filled(template: str, fields: Mapping[str, str], where: str) -> str:
    """The template with what its {names} stand for; {{ and }} are braces. Raises BadInput naming the field `where`."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise BadInput(f"{where} {template[:80]!r} has a brace too many or too few: {error}", where) from error
    said = []
    for text, name, spec, conversion in parts:
        said.append(text)
        if name is None:
            continue
        if spec or conversion or name not in fields:
            known = ", ".join(fields)
            raise BadInput(f"{where} {template[:80]!r} has no field {name[:40]!r}: it may hold {known}", where)
        said.append(fields[name])
    return "".join(said)


def tidy(words: str) -> str:
    """What stands between commas, each once in whatever case, without what is empty and without a full stop."""
    parts = (" ".join(part.split()).rstrip(". ") for part in BETWEEN.split(words))
    return ", ".join(distinct(part for part in parts if part))


def one_line(text: str) -> str:
    """Without line breaks and what cannot be shown: a caption is a line of a file."""
    return " ".join("".join(one for one in text if one.isprintable() or one.isspace()).split())


def distinct(words: Iterable[str]) -> list[str]:
    """Each once, whatever its case, in their order."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word.casefold(), word)
    return list(found.values())
