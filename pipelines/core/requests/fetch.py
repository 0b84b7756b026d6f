"""A request for the weights of a base or a control net. Pydantic only."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from pipelines.core import nets
from pipelines.core.requests.base import BACKGROUND, Request


def _has_repository(name: str) -> str:
    found = nets.fetchable(name)
    if found.repo is None:
        raise ValueError(f"base {found.name} is not fetched: it has no repository, see `python -m pipelines bases`")
    return found.name


class Fetch(Request):
    """Bring the weights of a base by name, over the network."""

    title: ClassVar[str] = "Fetch a base"
    skeleton: ClassVar[dict[str, Any]] = {"base": "sd15"}
    task: Literal["fetch"] = "fetch"
    base: Annotated[str, AfterValidator(_has_repository)] = Field(
        description="What to fetch, a key of presets/bases.toml or presets/nets.toml"
    )

    def priority(self) -> int:
        """Drawing goes first: what is under way stands still for it."""
        return BACKGROUND
