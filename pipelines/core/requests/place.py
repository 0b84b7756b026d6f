"""The request that lays masks without anybody painting. Pydantic only: how a shape finds its place stands in parts."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipelines.core.requests.base import IMAGE, MASK, File, Request, by_length, one_or_many
from pipelines.core.requests.generate import SEED_MAX, Defect
from pipelines.core.requests.train import Layout

Brush = Literal["line", "rectangle", "ellipse", "polygon", "scratch", "crack", "pits", "blob", "flakes"]
MOST_PICTURES = 20_000
MOST_MASKS = 100_000
MOST_INSTANCES = 64


class Place(Request):
    """Lay masks of a defect onto pictures of good parts, where and as large as such defects are."""

    title: ClassVar[str] = "Place masks"
    skeleton: ClassVar[dict[str, object]] = {"image": "image.png", "defect": "scratch"}
    task: Literal["place"] = "place"
    image: Annotated[tuple[File, ...], BeforeValidator(one_or_many)] = Field(
        min_length=1,
        max_length=MOST_PICTURES,
        json_schema_extra=IMAGE,
        description="Pictures of good parts: files, a folder, a project or a run",
    )
    count: int = Field(1, ge=1, le=MOST_MASKS, description="How many masks each picture gets")
    defect: Defect = Field(description="Which defect the masks are for")
    legal: File | None = Field(
        None,
        json_schema_extra=MASK,
        description="Mask, white where defects may lie, as large as the picture; empty = anywhere",
    )
    illegal: File | None = Field(
        None, json_schema_extra=MASK, description="Mask, white where no defect may lie, as large as the picture"
    )
    where: Literal["anywhere", "foreground", "as real"] = Field(
        "anywhere",
        description="foreground = on the part, not beside it, where it stands before an even background; as real ="
        " where the defects of `data` lie, as often as there",
    )
    data: str | None = Field(
        None,
        min_length=1,
        json_schema_extra={"file": "data"},
        description="Real defects to learn shapes, sizes, directions and places from: a data set's folder, a run, a"
        " project, or a data set by its id",
    )
    layout: Layout = Field("auto", description="How the data set is laid out; auto = found out by looking")
    defect_class: str = Field(
        "", max_length=200, description="Which of its classes to learn from, as it is called there; empty = all"
    )
    shapes: Literal["auto", "library", "real"] = Field(
        "auto",
        description="real = outlines of the defects of `data`, turned, scaled and bent; library = drawn by the brushes;"
        " auto = real where `data` is given",
    )
    brushes: Annotated[tuple[Brush, ...], BeforeValidator(one_or_many)] = Field(
        (), max_length=9, description="Brushes that library shapes are drawn with; empty = the defect's own"
    )
    instances: tuple[Annotated[int, Field(ge=1, le=MOST_INSTANCES)], Annotated[int, Field(ge=1, le=MOST_INSTANCES)]] = (
        Field((1, 1), description="Least and most areas in a mask")
    )
    size: tuple[Annotated[float, Field(gt=0, le=8192)], Annotated[float, Field(gt=0, le=8192)]] | None = Field(
        None,
        description="Least and most length of an area: up to 1 a share of the picture's shorter side, above in pixels;"
        " empty = as in `data`, without it as the brush usually is",
    )
    angle: Annotated[float, Field(ge=0, lt=180)] | Literal["any", "as real"] | None = Field(
        None,
        description="Which way long areas run, in degrees: 0 = level, 90 = upright; any = every way, as real = as in"
        " `data`; empty = as real where `data` is given, else any",
    )
    warp: float = Field(0.3, ge=0, le=1, description="How far an outline is bent and stretched: 0 = not at all")
    gap_px: int = Field(4, ge=0, le=1024, description="Pixels that stay free between two areas of a mask")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same masks; mask k uses seed + k")

    @field_validator("instances")
    @classmethod
    def _rising(cls, asked: tuple[int, int]) -> tuple[int, int]:
        if asked[0] > asked[1]:
            raise ValueError(f"instances {asked[0]} to {asked[1]}: the first is the least, swap them")
        return asked

    @field_validator("size")
    @classmethod
    def _of_one_kind(cls, asked: tuple[float, float] | None) -> tuple[float, float] | None:
        if asked is None:
            return None
        least, most = asked
        if least > most:
            raise ValueError(f"size {least:g} to {most:g}: the first is the least, swap them")
        if least <= 1 < most:
            raise ValueError(f"size {least:g} to {most:g} mixes a share and pixels: give both up to 1, or both above")
        return asked

    @model_validator(mode="after")
    def _has_what_it_takes(self) -> Self:
        if self.data is None:
            asked = {
                "where": self.where == "as real",
                "shapes": self.shapes == "real",
                "angle": self.angle == "as real",
            }
            name = next((name for name, real in asked.items() if real), None)
            if name is not None:
                raise ValueError(f"{name} follows real defects and data is missing: name a data set with masks")
            if self.defect_class:
                raise ValueError(f"defect_class {self.defect_class!r} is a class of data, which is missing: name it")
        if self.brushes and self.shapes == "real":
            raise ValueError("brushes draw library shapes: leave them out, or choose shapes = library")
        if self.length() > MOST_MASKS:
            raise ValueError(f"{self.length()} masks are too many for one run: ask for up to {MOST_MASKS}")
        if self.seed + self.length() - 1 > SEED_MAX:
            raise ValueError(f"seed {self.seed} + {self.length()} masks passes {SEED_MAX}: choose a smaller seed")
        return self

    @property
    def from_real(self) -> bool:
        """Whether outlines are those of real defects."""
        return self.shapes == "real" or (self.shapes == "auto" and self.data is not None and not self.brushes)

    def length_px(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """The asked size in pixels of a picture (height, width); None where nothing is asked."""
        if self.size is None:
            return None
        unit = min(shape[:2]) if self.size[1] <= 1 else 1
        return self.size[0] * unit, self.size[1] * unit

    def for_image(self, index: int) -> "Place":
        """The request of mask `index` alone: picture by picture, of each all variants."""
        image = self.image[index // self.count]
        return self.model_copy(update={"image": (image,), "count": 1, "seed": self.seed + index})

    def priority(self) -> int:
        return by_length(self.length())

    def length(self) -> int:
        return len(self.image) * self.count
