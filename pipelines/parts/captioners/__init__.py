"""What to say of a picture: its folder, the mask, networks, a server. CAPTIONERS[name](pictures, how, models).

None of them fetches anything, and only `endpoint` sends anything. Knows no request, no run and no file to write to.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePath

from pipelines.core import captioners
from pipelines.core.errors import BadInput, Problem
from pipelines.core.models import Models
from pipelines.parts.captioners import attributes, endpoint, keywords, networks
from pipelines.parts.captioners.seen import How, Seen
from pipelines.parts.loaders import captioned

__all__ = ["CAPTIONERS", "Captioner", "How", "Seen", "folder_words", "lacks"]

Captioner = Callable[[Sequence[Seen], How, Models], list[str]]
"""One line for each picture, in their order; "" where it has nothing to say."""
COUNT = re.compile(r"^\d+(?:[_\s]+|$)")
"""How often a trainer repeats a folder, before its name."""


def lacks(name: str) -> Problem | None:
    """What is missing for a captioner, with where it comes from; None where it can be used now.

    Raises BadInput for a name that none has.
    """
    if name not in CAPTIONERS:
        raise BadInput(f"there is no captioner {name[:40]!r}; choose one of {', '.join(CAPTIONERS)}", "captioner")
    return captioners.lacks(name)


def folder_words(folder: str) -> str:
    """The name of a folder as words: "12_vfx scratch" -> "vfx scratch"; "" for one that says nothing."""
    return captioned.folder_prompt(PurePath(*(COUNT.sub("", part) for part in PurePath(folder).parts))) or ""


def _folder(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    return [folder_words(one.folder) for one in seen]


def _said(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    return [captioned.first_line(one.said) for one in seen]


CAPTIONERS: dict[str, Captioner] = {
    "attributes": attributes.captions,
    "folder": _folder,
    "said": _said,
    "keywords": keywords.captions,
    **{name: partial(networks.captions, name) for name in networks.NETWORKS},
    "endpoint": endpoint.captions,
}
