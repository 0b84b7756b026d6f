"""The bases as scripts and the page see them: what each is, whether it is here, what would bring it. Gives no path."""

from typing import Any
from urllib.parse import urlsplit

from pipelines.core import bases, fetch, weights
from pipelines.core.bases import Base
from studio.i18n import Language

FACTS = {
    "name", "label", "family", "licence", "repo", "size_bytes", "memory_bytes", "resolution", "tasks", "defaults",
    "layout", "own", "gated",
}  # fmt: skip


def listed(say: Language) -> list[dict[str, Any]]:
    """Every base, shipped ones first. Raises BadInput where the shipped table is wrong."""
    return [_shown(say, base) for base in bases.load().values()]


def hub() -> str:
    """The host that a fetch asks."""
    return urlsplit(fetch.endpoint()).netloc


def _shown(say: Language, base: Base) -> dict[str, Any]:
    state = base.state()
    return {
        **base.model_dump(mode="json", include=FACTS),
        "label": label(say, base),
        "licence": say.sentence(base.licence),
        "ready": state.ready,
        "state": state.kind,
        "text": say.sentence(state.text),
        "remedy": state.remedy,
        "from": _from(base),
        "token_missing": fetch.token_missing(base),
    }


def label(say: Language, base: Base) -> str:
    """What a base is called; an own one as its owner called it."""
    return base.label if base.own else say.data(f"bases.{base.name}.label", base.label)


def _from(base: Base) -> str | None:
    """Where it came from: a repository, or what of the models folder it is; elsewhere only the last name."""
    if base.path is None:
        return base.repo
    if base.path.is_relative_to(weights.folder()):
        return f"models/{base.path.relative_to(weights.folder()).as_posix()}"
    return base.path.name
