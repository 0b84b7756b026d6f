"""Bases, control nets and what makes maps, as scripts and the page see them: what each is, whether it is here, what
would bring it. Gives no path.
"""

from typing import Any
from urllib.parse import urlsplit

from pipelines.core import bases, fetch, nets, weights
from pipelines.core.bases import Base
from pipelines.core.nets import Net
from pipelines.core.published import Published
from studio.i18n import Language

FACTS = {
    "name", "label", "family", "licence", "repo", "size_bytes", "memory_bytes", "resolution", "tasks", "defaults",
    "layout", "own", "gated",
}  # fmt: skip


def listed(say: Language) -> list[dict[str, Any]]:
    """Every base, shipped ones first. Raises BadInput where the shipped table is wrong."""
    return [_shown(say, base) for base in bases.load().values()]


def steering(say: Language) -> list[dict[str, Any]]:
    """Every control net, then what makes maps of pictures. Raises BadInput where the shipped table is wrong."""
    found = sorted(nets.load().values(), key=lambda net: net.family == nets.ANNOTATOR)
    return [_net(say, net) for net in found]


def _net(say: Language, net: Net) -> dict[str, Any]:
    label = net.label if net.own else say.data(f"nets.{net.name}", net.label)
    told = net.model_dump(mode="json", include={"name", "family", "repo", "size_bytes", "own", "gated"})
    return {**told, "label": label, "kinds": list(net.kinds), **_of_files(say, net)}


def hub() -> str:
    """The host that a fetch asks."""
    return urlsplit(fetch.endpoint()).netloc


def _shown(say: Language, base: Base) -> dict[str, Any]:
    told = base.model_dump(mode="json", include=FACTS)
    return {**told, "label": label(say, base), **_of_files(say, base)}


def _of_files(say: Language, one: Base | Net) -> dict[str, Any]:
    """Whether it is here, where from, and what would bring it."""
    state = one.state()
    return {
        "licence": say.sentence(one.licence),
        "ready": state.ready,
        "state": state.kind,
        "text": say.sentence(state.text),
        "remedy": state.remedy,
        "from": _from(one),
        "token_missing": fetch.token_missing(one),
    }


def label(say: Language, base: Base) -> str:
    """What a base is called; an own one as its owner called it."""
    return base.label if base.own else say.data(f"bases.{base.name}.label", base.label)


def _from(base: Published) -> str | None:
    """Where it came from: a repository, or what of the models folder it is; elsewhere only the last name."""
    if base.path is None:
        return base.repo
    if base.path.is_relative_to(weights.folder()):
        return f"models/{base.path.relative_to(weights.folder()).as_posix()}"
    return base.path.name
