"""Lines of words: a template with named fields filled, what stands between commas put in order. Knows no pictures."""

import re
from collections.abc import Iterable, Mapping
from string import Formatter

from pipelines.core.errors import BadInput

BETWEEN = re.compile(r",(?![^(\[<]*[)\]>])")
"""A comma that stands in no brackets: those weigh words."""


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
