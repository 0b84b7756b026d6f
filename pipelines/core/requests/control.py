"""The requests that edges, depth and normals steer. Pydantic only: what a map is made with is known elsewhere."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipelines.core import bases, weights
from pipelines.core.nets import Kind
from pipelines.core.requests.base import IMAGE, INTERACTIVE, File, Lane, Part
from pipelines.core.requests.diffusion import DIFFUSION
from pipelines.core.requests.generate import Base, Painting

AUTO = "auto"
ANNOTATORS: dict[str, tuple[str, ...]] = {
    "hed": ("hed", "pidinet", "built-in"),
    "depth": ("exact", "depth-anything", "dpt", "midas", "built-in"),
    "normal": ("exact", "normalbae", "from-depth", "built-in"),
    "canny": ("opencv",),
    "lineart": ("lineart", "built-in"),
    "mask": ("painted", "u2net"),
}
"""What can make a map of each kind; `auto` takes the first that can be had."""
LIGHT = ("exact", "built-in", "opencv", "painted")
"""Those that need no weights."""
WEIGHTS = "annotators"
"""The folder of the models folder where all others have theirs; where it is, `auto` may find some."""
MOST_SCALE = 2.0
MOST_CONDITIONS = 6
MOST_TRIED = 8


class Condition(Part):
    """One map that steers, and how much it does."""

    kind: Kind = Field(
        description="What is kept of the picture: hed = soft edges, canny = sharp edges, lineart = lines, depth = how"
        " near it is, normal = which way it faces, mask = where the defect or the part is"
    )
    annotator: str = Field(
        AUTO, description="What makes the map, one of those of its kind; auto = the best that is here"
    )
    scale: float = Field(1.0, ge=0, le=MOST_SCALE, description="How strongly it steers: 0 = not at all, 1 = as trained")
    start: float = Field(0.0, ge=0, le=1, description="Share of the steps after which it begins to steer")
    end: float = Field(1.0, ge=0, le=1, description="Share of the steps after which it no longer steers")
    image: File | None = Field(
        None, json_schema_extra=IMAGE, description="A ready-made map to take instead of one made of the picture"
    )
    net: str | None = Field(
        None, min_length=1, description="Which control net reads it, by its name; empty = the one that fits the base"
    )
    low: int = Field(100, ge=0, le=255, description="canny: below this a step of brightness is no edge")
    high: int = Field(200, ge=0, le=255, description="canny: above this it always is one")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise ValueError(f"start {self.start:g} is after end {self.end:g}: swap them")
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}: swap them")
        known = ANNOTATORS[self.kind]
        if self.annotator not in (AUTO, *known):
            raise ValueError(f"{self.kind} has no annotator {self.annotator!r}; choose auto or {', '.join(known)}")
        return self


def _diffuses(name: str) -> str:
    if bases.get(name).draws:
        raise ValueError(f"base {name} draws by itself and is not steered: choose a diffusion base")
    return name


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else value


Tried = Annotated[tuple[float, ...], BeforeValidator(_several)]


class Steered(Painting):
    """What is said of every picture that maps steer."""

    conditions: tuple[Condition, ...] = Field(
        min_length=1, max_length=MOST_CONDITIONS, description="The maps that steer, each with its strength"
    )
    geometry: bool = Field(
        True,
        description="The defect's shape is drawn into the maps: a stroke becomes an edge, a dent depth and normals",
    )

    def _check_one_area(self) -> None:
        """Without a mask the whole picture is made anew; a defect then lends its words alone."""
        if self.mask is not None:
            super()._check_one_area()
        elif self.look:
            raise ValueError("look is of a painted defect: paint where it goes, or leave look out")


class Control(Steered):
    """Make a picture, or paint a defect into one, steered by its edges, depth and normals."""

    title: ClassVar[str] = "Steer by edges, depth and normals"
    skeleton: ClassVar[dict[str, Any]] = {
        "image": "image.png",
        "mask": "mask.png",
        "defect": "scratch",
        "base": "sd15",
        "conditions": [{"kind": "hed"}],
    }
    unsaid: ClassVar[frozenset[str]] = DIFFUSION | {
        "num_candidates",
        "select",
        "attention_maps",
        "guidance_scales",
        "control_scales",
    }
    task: Literal["control"] = "control"
    base: Annotated[Base, AfterValidator(_diffuses)] = Field(
        "sd15", description="Which diffusion base makes it, a key of presets/bases.toml"
    )
    guidance_scales: Tried = Field(
        (), max_length=MOST_TRIED, description="Several strengths of the prompt to try: a picture is made with each"
    )
    control_scales: Tried = Field(
        (),
        max_length=MOST_TRIED,
        description="Several strengths of all maps to try, each multiplied with the map's own: a picture is made with"
        " each",
    )

    @field_validator("guidance_scales")
    @classmethod
    def _guides(cls, tried: tuple[float, ...]) -> tuple[float, ...]:
        for one in tried:
            if not 1 <= one <= 30:
                raise ValueError(f"guidance_scales holds {one:g}: each goes from 1 to 30")
        return tried

    @field_validator("control_scales")
    @classmethod
    def _steers(cls, tried: tuple[float, ...]) -> tuple[float, ...]:
        for one in tried:
            if not 0 <= one <= MOST_SCALE:
                raise ValueError(f"control_scales holds {one:g}: each goes from 0 to {MOST_SCALE:g}")
        return tried

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        most, factor = max(one.scale for one in self.conditions), max(self.control_scales, default=1.0)
        if most * factor > MOST_SCALE:
            raise ValueError(
                f"control_scales {factor:g} times a scale of {most:g} passes {MOST_SCALE:g}: try smaller ones"
            )
        return self

    @property
    def tried(self) -> tuple[tuple[float | None, float], ...]:
        """(guidance_scale, factor on the maps) of each cell of the grid, row by row; one where nothing is tried."""
        rows = self.control_scales or (1.0,)
        return tuple((guides, steers) for steers in rows for guides in self.guidance_scales or (self.guidance_scale,))

    def for_image(self, index: int) -> Self:
        """Cell by cell with the same seeds, of each all variants."""
        cell, variant = divmod(index, self.num_images)
        one = super().for_image(variant)
        guides, steers = self.tried[cell]
        maps = tuple(each.model_copy(update={"scale": round(each.scale * steers, 4)}) for each in self.conditions)
        alone = {"guidance_scale": guides, "conditions": maps, "guidance_scales": (), "control_scales": ()}
        return one.model_copy(update=alone)

    def length(self) -> int:
        return len(self.tried) * self.num_images


class Annotate(Steered):
    """Make the maps that would steer a picture, and nothing else."""

    title: ClassVar[str] = "Make control maps"
    skeleton: ClassVar[dict[str, Any]] = {"image": "image.png", "conditions": [{"kind": "hed"}]}
    unsaid: ClassVar[frozenset[str]] = DIFFUSION | {"num_candidates", "select", "attention_maps"}
    task: Literal["annotate"] = "annotate"

    def lane(self) -> Lane:
        """Maps that need no weights are made while a training runs."""
        light = LIGHT if (weights.folder() / WEIGHTS).is_dir() else (*LIGHT, AUTO)
        return "cpu" if all(one.image is not None or one.annotator in light for one in self.conditions) else "device"

    def priority(self) -> int:
        return INTERACTIVE

    def length(self) -> int:
        return len(self.conditions)
