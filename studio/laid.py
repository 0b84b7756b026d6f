"""Adapters as the forms of Paint and Generate hold them: what can be laid over a base, and a request's own again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.core.errors import Missing
from pipelines.core.library import Library
from pipelines.core.requests.diffusion import AdapterUse
from studio.context import Context


@dataclass(frozen=True)
class Laid:
    """The adapters of a request, as a form holds them."""

    uses: list[dict[str, Any]]
    """`path` (an id of the library, else an asset) and `weight` of each that is here."""
    labels: dict[str, str]
    """What to call each path."""
    missing: tuple[str, ...]
    """A sentence for each that is not here."""


def offered(context: Context) -> list[dict[str, Any]]:
    """What there is to choose from now."""
    return [
        {"id": one.id, "label": one.name, "family": one.facts.family, "triggers": list(one.triggers)}
        for one in Library(context.runs).every().entries
    ]


def restored(context: Context, asked: Sequence[AdapterUse], names: Mapping[str, str]) -> Laid:
    """A request's adapters, looked for here; `names` says what each asset was called."""
    uses, labels, missing = [], {}, []
    for use in asked:
        label = names.get(use.path, use.path)
        entry = next((one for one in Library(context.runs).every().entries if one.asset == use.path), None)
        if entry is None and not context.assets.has(use.path):
            missing.append(
                str(Missing(f"the adapter {label} is not here: add it under Adapters, then drop this picture again"))
            )
            continue
        path = entry.id if entry else use.path
        uses.append({"path": path, "weight": use.weight})
        labels[path] = label
    return Laid(uses, labels, tuple(missing))
