"""The request that makes many labelled pictures: template x sources x defects x masks x seeds x ranges. Pydantic only.

What picture k is asked for is a function of the request and of k alone (generate/planning), never of what became of
another: so it is the same after a kill, in another order and on another machine.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from pipelines.core.errors import BadInput
from pipelines.core.requests.base import IMAGE, INTERACTIVE, MASK, File, Lane, Part, Request, by_length, one_or_many
from pipelines.core.requests.generate import SEED_MAX, Defect
from pipelines.core.requests.place import Place

PLANNED = "planned"
"""Stands in a template for a file that the plan gives to each picture."""
TEMPLATES = ("inpaint", "control", "text")
GIVEN = ("image", "mask", "regions", "seed", "num_images")
"""What a template leaves to the plan."""
MOST_KEPT = 1_000_000
MOST_SOURCES = 200_000


def _named(value: Any) -> Any:
    return {"defect": value} if isinstance(value, str) else value


class Vary(Part):
    """One parameter that differs from picture to picture."""

    field: str = Field(
        min_length=1, max_length=100, description="A field of the template, such as severity, look.width or strength"
    )
    values: tuple[Any, ...] = Field((), max_length=1000, description="A list to choose from; or give low and high")
    low: float | None = Field(None, description="The least value of a range")
    high: float | None = Field(None, description="The largest value of a range")
    how: Literal["even", "random"] = Field(
        "even", description="even = all values equally often, a range filled without gaps; random = by chance"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if bool(self.values) == ranged or (self.low is None) != (self.high is None):
            raise ValueError(f"{self.field}: give either values or both low and high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"{self.field}: low {self.low:g} is above high {self.high:g}: swap them")
        return self


class Share(Part):
    """One class of the data set, and how much of it."""

    defect: Defect | None = Field(None, description="Which defect; empty = pictures that are made whole")
    share: float = Field(1.0, gt=0, le=1000, description="Its part of the pictures, beside the other classes' shares")
    fields: dict[str, Any] = Field(
        default_factory=dict, description="What of the template is different for it, such as severity or look"
    )
    place: dict[str, Any] = Field(default_factory=dict, description="What of `place` is different for it")
    vary: tuple[Vary, ...] = Field(
        (), max_length=32, description="Parameters that differ from picture to picture of this class alone"
    )


class Painted(Part):
    """A mask that was drawn by hand, for one picture or for every picture of its size."""

    mask: File = Field(json_schema_extra=MASK, description="8-bit mask, white where the defect goes")
    image: File | None = Field(
        None, json_schema_extra=IMAGE, description="The picture that it is for; empty = every picture of its size"
    )


class Gates(Part):
    """What a picture must show to be kept; what does not is set aside with the reason."""

    visibility: float | None = Field(
        1.2,
        ge=0,
        le=20,
        description="Least contrast of the defect against what is around it, 1 = hidden; empty = any",
    )
    fidelity: float | None = Field(
        None, ge=0, le=1, description="Least overlap of what changed with what was asked for; empty = any"
    )
    leakage: bool = Field(True, description="Set aside what changed outside the mask, be it one pixel by one level")
    duplicate_bits: int | None = Field(
        3,
        ge=0,
        le=31,
        description="Set aside a defect whose perceptual hash differs from a kept one's by at most so many of 63 bits;"
        " empty = keep all",
    )
    texture: float | None = Field(
        None,
        ge=0.5,
        le=20,
        description="How far a defect's texture may lie from the nearest real one in `real`, in typical distances"
        " between real ones; empty = any",
    )
    clip: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="How much liker to its words than to a flawless part CLIP must find a defect, as a difference of"
        " cosines; empty = not looked at",
    )


class Batch(Request):
    """Make a data set: as many pictures as are asked for that pass the gates."""

    title: ClassVar[str] = "Make many of this"
    skeleton: ClassVar[dict[str, Any]] = {
        "template": {"task": "inpaint"},
        "sources": ["image.png"],
        "defects": ["scratch"],
        "masks": [{"mask": "mask.png"}],
    }
    task: Literal["batch"] = "batch"
    template: dict[str, Any] = Field(
        description="What is the same for all pictures: a request without image, mask and seed, such as"
        ' {"task": "inpaint", "severity": 0.5}'
    )
    sources: Annotated[tuple[File, ...], BeforeValidator(one_or_many)] = Field(
        (),
        max_length=MOST_SOURCES,
        json_schema_extra=IMAGE,
        description="Pictures of good parts: files, a folder, a project or a run; used equally often",
    )
    defects: tuple[Annotated[Share, BeforeValidator(_named)], ...] = Field(
        (), max_length=64, description="The classes and their shares; empty = the template's own defect"
    )
    masks: tuple[Painted, ...] = Field(
        (), max_length=10_000, description="Masks that were drawn by hand; empty = placed as `place` says"
    )
    place: dict[str, Any] = Field(
        default_factory=dict,
        description="How masks are laid where none is drawn: fields of the task `place` without image, count, defect"
        " and seed",
    )
    vary: tuple[Vary, ...] = Field((), max_length=32, description="Parameters that differ from picture to picture")
    count: int = Field(100, ge=1, le=MOST_KEPT, description="How many pictures are to be kept")
    tries: int = Field(
        4, ge=1, le=100, description="How often each picture is tried, until one passes the gates; 1 = no second try"
    )
    first: int | None = Field(
        None, ge=1, le=1000, description="Only the first so many, to look at; they are the same as in the whole"
    )
    gates: Gates = Field(default_factory=Gates, description="What a picture must show to be kept")
    real: str | None = Field(
        None, min_length=1, description="Real defects to judge the texture by: a data set, a project or a run"
    )
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same pictures; picture k is the same in any count")
    executor: Literal["local", "ray"] = Field(
        "local",
        description="Who makes them: local = this worker, ray = the actors of a Ray cluster, with equal results",
    )

    @field_validator("template")
    @classmethod
    def _no_plan_of_its_own(cls, template: Mapping[str, Any]) -> dict[str, Any]:
        if template.get("task") not in TEMPLATES:
            raise ValueError(f"template.task = {template.get('task')!r}: a batch repeats one of {', '.join(TEMPLATES)}")
        own = [name for name in GIVEN if name in template]
        if own:
            raise ValueError(f"template holds {', '.join(own)}: leave that to the plan, it differs for each picture")
        return dict(template)

    @model_validator(mode="after")
    def _makes_pictures(self) -> Self:
        if self.paints:
            if not self.sources:
                raise ValueError("sources are missing: name pictures of good parts to paint on")
            if not self.masks:
                for share in self.classes:
                    self.placing(share)
            if not all(share.defect for share in self.classes):
                raise ValueError("defects are missing: name one at least, or put a defect into the template")
        if self.gates.texture is not None and self.real is None:
            raise ValueError("gates.texture needs real defects: name a data set, a project or a run in real")
        for share in self.classes:
            try:
                self.sample(share)
            except BadInput as error:
                raise ValueError(f"template: {error}") from error
        return self

    @property
    def paints(self) -> bool:
        """Whether defects are painted into pictures; else they are made whole."""
        return self.template["task"] in ("inpaint", "control")

    @property
    def classes(self) -> tuple[Share, ...]:
        """The classes, one at least."""
        return self.defects or (Share(defect=self.template.get("defect")),)

    def asked(self, share: Share, given: Mapping[str, Any]) -> Request:
        """The request of one picture of a class: the template, the class's fields, then `given`, by dotted names.

        Raises BadInput.
        """
        from pipelines.core import requests

        data: dict[str, Any] = {**self.template, **share.fields, "num_images": 1}
        if self.paints:
            data.pop("defect", None)
        for name, value in given.items():
            put(data, name, value)
        return requests.parse(data)

    def varied(self, share: Share) -> tuple[Vary, ...]:
        """What differs from picture to picture of a class: what differs in all, and in its place what is said of it."""
        own = {one.field for one in share.vary}
        return (*(one for one in self.vary if one.field not in own), *share.vary)

    def sample(self, share: Share | None = None) -> Request:
        """Any picture's request, to see what it would be; its files stand open. Raises BadInput."""
        share = share or self.classes[0]
        given: dict[str, Any] = {one.field: one.values[0] if one.values else one.low for one in self.varied(share)}
        if self.paints:
            given |= {"image": PLANNED, "mask": PLANNED, "defect": share.defect}
        return self.asked(share, given)

    def placing(self, share: Share) -> Place:
        """How masks of a class are laid; its picture stands open. Raises ValueError."""
        said = {**self.place, **share.place}
        own = [name for name in ("image", "count", "defect", "seed") if name in said]
        if own:
            raise ValueError(f"place holds {', '.join(own)}: leave that to the plan, it differs for each picture")
        from pipelines.core import requests

        try:
            return Place(image=(PLANNED,), defect=share.defect or "", **{**said, "task": "place"})
        except ValidationError as error:
            raise ValueError(f"place: {requests.explain(error)}") from error

    def lane(self) -> Lane:
        return self.sample().lane() if self.gates.clip is None else "device"

    def priority(self) -> int:
        return INTERACTIVE if self.first is not None else by_length(self.count)

    def length(self) -> int:
        """How many pictures are to be kept now."""
        return min(self.count, self.first or self.count)


def put(data: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its dotted name, `look.width` or `conditions.0.scale`; tables that are missing are made.

    What is on the way is copied, for several pictures share a template. Raises BadInput.
    """
    head, _, rest = name.partition(".")
    if not rest:
        data[head] = value
        return
    inner = data.get(head)
    if isinstance(inner, list | tuple):
        number, _, deeper = rest.partition(".")
        if not number.isdigit() or int(number) >= len(inner):
            raise BadInput(f"vary: {name} is not in the template: {head} has {len(inner)} parts, from 0 on", "vary")
        parts = [dict(one) if isinstance(one, Mapping) else one for one in inner]
        data[head] = parts
        if not deeper:
            parts[int(number)] = value
        else:
            put(parts[int(number)], deeper, value)
        return
    data[head] = dict(inner) if isinstance(inner, Mapping) else {}
    put(data[head], rest, value)
