"""The request that looks a data set through before anything learns from it. Pydantic only."""

from typing import ClassVar, Literal

from pydantic import Field

from pipelines.core.requests.base import Request
from pipelines.core.requests.train import Layout


class Check(Request):
    """List every fault of a data set, before the first step of a training."""

    title: ClassVar[str] = "Look a data set through"
    skeleton: ClassVar[dict[str, str]] = {"data": "data"}
    task: Literal["check"] = "check"
    data: str = Field(
        min_length=1,
        description="The pictures: a data set's folder, a run, a project, or a data set by its id",
        json_schema_extra={"file": "data"},
    )
    layout: Layout = Field("auto", description="How the data set is laid out; auto = found out by looking")

    def priority(self) -> int:
        return 5
