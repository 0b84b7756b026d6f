"""The request that packs a project, to be moved or kept. Pydantic only."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.core.requests.base import Request


class Pack(Request):
    """Pack a project: its pictures, its masks and all that is known of them; `ingest` opens it again."""

    title: ClassVar[str] = "Pack a project"
    skeleton: ClassVar[dict[str, str]] = {"project": "project-0123456789ab"}
    task: Literal["pack"] = "pack"
    project: str = Field(pattern=r"^project-[0-9a-f]{12}$", description="The project by its id")
    output: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A folder, or a name that ends in .zip; empty = a ZIP in the run's folder"
    )

    def priority(self) -> int:
        return 5
