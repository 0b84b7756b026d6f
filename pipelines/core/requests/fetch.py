"""A request for a base's weights. Pydantic only."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from pipelines.core import bases
from pipelines.core.requests.base import BACKGROUND, Request


def _has_repository(name: str) -> str:
    base = bases.get(name)
    if base.repo is None:
        raise ValueError(f"base {base.name} is not fetched: it has no repository, see `python -m pipelines bases`")
    return base.name


class Fetch(Request):
    """Bring the weights of a base by name, over the network."""

    title: ClassVar[str] = "Fetch a base"
    skeleton: ClassVar[dict[str, Any]] = {"base": "sd15"}
    task: Literal["fetch"] = "fetch"
    base: Annotated[str, AfterValidator(_has_repository)] = Field(
        description="Which base to fetch, a key of presets/bases.toml"
    )

    def priority(self) -> int:
        """Drawing goes first: what is under way stands still for it."""
        return BACKGROUND
