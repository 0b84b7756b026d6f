"""The request that cuts pictures and their masks into windows to train on. Pydantic only."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.core.requests.base import Part
from pipelines.core.requests.check import Check

Px = Annotated[int, Field(ge=0, le=1_000_000)]


class Cut(Part):
    """One crop, as its metadata names it."""

    name: str = Field(min_length=1, max_length=255, description="The file that it was cut from")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="That file's checksum")
    window: tuple[Px, Px, Px, Px] = Field(description="top, left, bottom, right in pixels, the end exclusive")

    @model_validator(mode="after")
    def _has_pixels(self) -> Self:
        top, left, bottom, right = self.window
        if bottom <= top or right <= left:
            raise ValueError(f"window {list(self.window)} holds no pixel: it is top, left, bottom, right")
        return self


class Crop(Check):
    """Cut the pictures of one data set, which is named as `check` names it, into windows with their masks."""

    title: ClassVar[str] = "Cut pictures to train on"
    task: Literal["crop"] = "crop"  # type: ignore[assignment]
    how: Literal["mask", "tiles", "square"] = Field(
        "mask",
        description="mask = a window around each defect, tiles = the whole picture in squares, square = one square"
        " window around all defects of a picture",
    )
    side_px: int = Field(512, ge=16, le=8192, description="Side of a tile, and the least side of any other window")
    overlap: float = Field(0.0, ge=0, le=0.9, description="Share of its side by which a tile reaches into the next")
    padding: float = Field(
        0.25, ge=0, le=4, description="What is left around a defect, as a share of the longer side of its box"
    )
    minimum_area_px: int = Field(
        16, ge=1, le=1_000_000, description="A window with less of a defect, but with some of it, is left out"
    )
    keep_good: bool = Field(True, description="Also keep windows without any defect")
    most_per_picture: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="At most so many windows of a picture, the largest defects first; empty = all",
    )
    only: Cut | None = Field(None, description="Make this one crop again, as its metadata names it")
