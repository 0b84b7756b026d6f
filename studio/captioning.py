"""What the Caption tab offers and asks: captioners with what each lacks here, and the request of what its form holds.

Knows the records of projects and the request; no captioner from the inside, and nothing of the queue.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from pipelines.core import captioners
from pipelines.core.captioners import CLIPS, NETWORKS
from pipelines.core.errors import BadInput, Problem
from pipelines.core.records import USED, Filter
from studio.context import Context
from studio.i18n import Language
from studio.labels import Which

ORDER = ("attributes", "blip2", "blip", "llava", "keywords", "endpoint", "folder", "said")
"""As they are offered: the one that always works first, then what sees more of a picture."""
SOURCES = {**NETWORKS, "keywords": next(iter(CLIPS.values()))}
KEPT = ("captioners", "template", "prompt", "token", "best_of", "clips", "max_new_tokens", "write")
"""What of the form goes into the request as it stands."""


def offered(say: Language) -> dict[str, Any]:
    """Every captioner with what it lacks, "" for nothing, and the CLIPs that can rank."""
    lack = captioners.no_clip()
    return {
        "captioners": [_captioner(say, name) for name in ORDER],
        "clips": captioners.clips(),
        "no_clip": say.sentence(str(lack)) if lack else "",
        "host": _host(),
    }


def _captioner(say: Language, name: str) -> dict[str, Any]:
    lack = captioners.lacks(name)
    return {"name": name, "lacks": say.sentence(str(lack)) if lack else "", "source": SOURCES.get(name, "")}


def _host() -> str:
    """Where pictures would be sent; "" while the endpoint is off."""
    try:
        return captioners.server().name
    except Problem:
        return ""


def asked(context: Context, held: Any) -> dict[str, Any]:
    """The request of what the form holds: which pictures of which project, and how. Raises BadInput, Missing."""
    given = held if isinstance(held, dict) else {}
    project = context.projects.get(str(given.get("project") or ""))
    form = given.get("form")
    form = form if isinstance(form, dict) else {}
    words = [one.strip() for one in re.split(r"[,\n]", str(form.get("keywords") or "")) if one.strip()]
    wanted = {name: form[name] for name in KEPT if form.get(name) not in (None, "", [])}
    return {
        **wanted,
        "task": "caption",
        "data": project.id,
        "product": project.product,
        "keywords": words,
        "only": _only(context, project.id, which(given.get("which")), str(form.get("write") or "empty")),
    }


def which(value: Any) -> Filter:
    """A filter as the page sends it. Raises BadInput."""
    try:
        return Which.model_validate(value if isinstance(value, Mapping) else {}).filter()
    except ValidationError as error:
        raise BadInput("the pictures meant are no filter of the project: load the page again") from error


def _only(context: Context, id: str, which: Filter, write: str) -> list[str]:
    """The pictures to look at, [] for all; of those with a caption none where it would not be replaced.

    Raises BadInput for none.
    """
    records = context.projects.records(id)
    used = replace(which, out=False)
    meant = replace(used, captioned=False) if write == "empty" else used
    found = [] if write == "empty" and which.captioned else records.assets(meant)
    if not found and records.count(used):
        raise BadInput("every picture chosen has a caption already: choose to replace them, or only to look")
    if not found:
        raise BadInput("no picture is chosen that a data set would use: choose some, or empty the filter")
    return [] if len(found) == records.count(USED) else found
