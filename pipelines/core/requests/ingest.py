"""The request that takes a data set into a project. Pydantic only."""

from typing import ClassVar, Literal

from pydantic import Field

from pipelines.core.requests.check import Check
from pipelines.core.requests.train import Choice


class Ingest(Check):
    """Take a data set into a project, which is named as `check` names it; nothing of the data set is changed."""

    title: ClassVar[str] = "Take a data set in"
    task: Literal["ingest"] = "ingest"  # type: ignore[assignment]
    project: str = Field("", max_length=80, description="The project by its id; empty = a new one, named as the data")
    boxes: Literal["keep", "box", "ellipse", "refine"] = Field(
        "keep",
        description="What becomes of labels that are boxes: keep = they stay boxes; else masks: box = all of it,"
        " ellipse = what fits in it, refine = what stands out from its surroundings in it",
    )
    faults: dict[str, Choice] = Field(
        {},
        description="What to do about a kind of fault, or one file's: mend, use or leave_out. What nobody decided about"
        " comes in as left out, with the kind of fault as the reason",
    )
    keep_twins_together: bool = Field(
        True, description="Pictures that show the same part, also shifted or turned, go to one part of a split"
    )
