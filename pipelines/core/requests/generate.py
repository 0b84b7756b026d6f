"""Requests that make pictures. Pydantic only: what a field may hold is known here, how it is done is not."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipelines.core import bases, kinds
from pipelines.core.requests.base import IMAGE, MASK, File, Lane, Part, by_length
from pipelines.core.requests.diffusion import DIFFUSION, Diffusion, Prompt
from pipelines.core.requests.diffusion import LATER as DIFFUSED_LATER

SEED_MAX = 2**32 - 1
Look = dict[str, float | str]


def sibling(seed: int, number: int) -> int:
    """The seed of the `number`-th of several defects drawn from one seed; the first keeps it, none repeats another."""
    return (seed + number * 0x9E3779B1) % (SEED_MAX + 1)


def _known_defect(name: str) -> str:
    return kinds.get(name).id


def _known_base(name: str) -> str:
    return bases.get(name).name


Defect = Annotated[str, AfterValidator(_known_defect)]
Base = Annotated[str, AfterValidator(_known_base)]
Severity = Annotated[float, Field(ge=0, le=1, description="How bad it is: 0 just visible, 1 as bad as it gets")]
Light = Annotated[
    float | None,
    Field(
        ge=0,
        lt=360,
        description="Where the light comes from, in degrees: 0 right, 90 top; empty = read from the picture",
    ),
]
LATER = ("padding_px", "feather_px", "prompt", "example_defect")
EXAMPLES = frozenset({"examples", "example_defect", "num_examples", "exemplars"})
"""What only the base that draws from examples reads. Left out of the data while it is at its default."""
MOST_EXAMPLES = 64
LOOK_HELP = "The defect's own parameters; `show DEFECT` lists their names and bounds"


def _check_look(defect: str, look: Look) -> None:
    kinds.get(defect).check(look)


class Exemplar(Part):
    """One real defect that a base draws from."""

    image: File = Field(json_schema_extra=IMAGE, description="A picture that shows the defect")
    mask: File = Field(json_schema_extra=MASK, description="8-bit mask, white where the defect is, as large as it")
    defect: str = Field(min_length=1, max_length=200, description="What its data set calls the defect")


class Region(Part):
    """One painted area and what goes there."""

    mask: File = Field(
        json_schema_extra=MASK, description="8-bit mask, white where the defect goes, as large as the picture"
    )
    defect: Defect = Field(description="Which defect")
    severity: Severity | None = Field(None, description="How bad it is, 0 to 1; empty = the request's")
    seed: int | None = Field(None, ge=0, le=SEED_MAX, description="Its own seed; empty = follows from the request's")
    light: Light = None
    padding_px: int | None = Field(None, ge=0, le=1024, description="Its own surroundings; empty = the request's")
    feather_px: int | None = Field(None, ge=0, le=64, description="Its own soft edge; empty = the request's")
    prompt: Prompt | None = Field(None, description="Its own words, for a diffusion base; empty = the request's")
    look: Look = Field(default_factory=dict, description=LOOK_HELP)
    example_defect: str | None = Field(
        None, min_length=1, max_length=200, description="Its own defect of the examples; empty = the request's"
    )

    @model_serializer(mode="wrap")
    def _as_data(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the fields that came later, where they are empty: a picture's metadata stays the same to the byte."""
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if value is not None or name not in LATER}

    @model_validator(mode="after")
    def _own_parameters(self) -> Self:
        _check_look(self.defect, self.look)
        return self


class Painting(Diffusion):
    """What is said of every picture that a defect is painted into."""

    later: ClassVar[frozenset[str]] = DIFFUSED_LATER | EXAMPLES

    image: File = Field(
        json_schema_extra=IMAGE, description="The picture of a good part (PNG, JPEG, TIFF, BMP, WEBP; 8 or 16 bit)"
    )
    mask: File | None = Field(
        None, json_schema_extra=MASK, description="8-bit mask, white where the defect goes, as large as the picture"
    )
    base: Base = Field("procedural", description="What draws the defect, a key of presets/bases.toml")
    defect: Defect | None = Field(None, description="Which defect; `regions` holds several")
    severity: Severity = 0.5
    strength: float = Field(1.0, ge=0, le=1, description="How far it may stray from the original: 1 = the whole defect")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same defect; picture k uses seed + k")
    num_images: int = Field(1, ge=1, le=100_000, description="How many variants")
    padding_px: int = Field(
        64, ge=0, le=1024, description="How much of the surroundings is looked at around the mask, in pixels"
    )
    feather_px: int = Field(2, ge=0, le=64, description="How far past the mask's edge the defect may fade, in pixels")
    light: Light = None
    look: Look = Field(default_factory=dict, description=LOOK_HELP)
    label: Literal["changed", "asked"] | None = Field(
        None,
        description="Which mask is the label: what changed, or what was painted; empty = what changed for a drawn"
        " defect, what was painted for one that is diffused or laid from examples; both are kept",
    )
    num_candidates: int = Field(
        1, ge=1, le=16, description="How many are tried for each picture; the best is kept (diffusion bases)"
    )
    select: Literal["low-fidelity", "coverage"] = Field(
        "low-fidelity",
        description="Which candidate is the best: the one least like the good part inside the mask (LPIPS where its"
        " weights are here, else SSIM), or the one that fills the mask best",
    )
    attention_maps: bool = Field(
        False, description="Also keep pictures of where the base looked for the defect's words (diffusion bases)"
    )
    regions: tuple[Region, ...] = Field((), max_length=64, description="Several areas, each with its own defect")
    examples: str | None = Field(
        None,
        min_length=1,
        json_schema_extra={"file": "data"},
        description="Real defects that the exemplar base draws from: a data set's folder, a run, a project, or a data"
        " set by its id",
    )
    example_defect: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Which defect of the examples, as their data set calls it; empty = the one called like the defect,"
        " or the only one",
    )
    num_examples: int = Field(
        8, ge=1, le=MOST_EXAMPLES, description="From how many pictures of a defect at most; the seed says which"
    )
    exemplars: tuple[Exemplar, ...] = Field(
        (),
        max_length=8 * MOST_EXAMPLES,
        description="The examples one by one, as a picture's metadata names them; in place of examples",
    )

    @model_validator(mode="after")
    def _one_way_to_ask(self) -> Self:
        alone = self.mask is not None or self.defect is not None
        if alone and self.regions:
            raise ValueError("mask and defect are for one region, regions for several: give one or the other")
        if not self.regions:
            self._check_one_area()
        elif self.look:
            raise ValueError("look belongs to one defect: with regions, set it in each region")
        self._check_examples()
        if self.seed + self.num_images - 1 > SEED_MAX:
            raise ValueError(
                f"seed {self.seed} + num_images {self.num_images} passes {SEED_MAX}: choose a smaller seed"
            )
        return self

    def _check_one_area(self) -> None:
        """Mask and defect belong together. Raises ValueError."""
        if self.mask is None:
            raise ValueError("mask is missing: paint where the defect goes, or give regions")
        if self.defect is None:
            raise ValueError(f"defect is missing: choose one of {', '.join(sorted(kinds.load()))}")
        _check_look(self.defect, self.look)

    def _check_examples(self) -> None:
        """The base that draws from examples has them, once, and no other base is given any. Raises ValueError."""
        named = self.examples is not None or bool(self.exemplars)
        if bases.get(self.base).family != bases.EXEMPLAR:
            if named:
                raise ValueError(f"base {self.base} reads no examples: choose the base exemplar, or leave them out")
        elif not named:
            raise ValueError("examples is missing: name a data set, a project or a run with marked defects")
        elif self.examples is not None and self.exemplars:
            raise ValueError("examples and exemplars say the same in two ways: give one or the other")

    def areas(self) -> tuple[Region, ...]:
        """What is to be painted, one or many, with everything settled that a region may leave to the request."""
        if self.regions:
            return tuple(self._settled(region, number) for number, region in enumerate(self.regions))
        if self.mask is None:
            return ()
        one: dict[str, Any] = {"mask": self.mask, "defect": self.defect, "seed": self.seed, "look": self.look}
        one |= {"prompt": self.prompt} if self.prompt else {}
        return (self._settled(Region(**one), 0),)

    def _settled(self, region: Region, number: int) -> Region:
        return region.model_copy(
            update={
                "severity": self.severity if region.severity is None else region.severity,
                "seed": sibling(self.seed, number) if region.seed is None else region.seed,
                "light": self.light if region.light is None else region.light,
                "padding_px": self.padding_px if region.padding_px is None else region.padding_px,
                "feather_px": self.feather_px if region.feather_px is None else region.feather_px,
                "example_defect": region.example_defect or self.example_defect,
            }
        )

    def for_image(self, index: int) -> Self:
        """The request of picture `index` alone: what its metadata holds and what makes it again, byte for byte."""
        regions = tuple(
            region
            if region.seed is None
            else region.model_copy(update={"seed": (region.seed + index) % (SEED_MAX + 1)})
            for region in self.regions
        )
        label = self.label or ("changed" if bases.get(self.base).family == bases.DRAWN else "asked")
        return self.model_copy(update={"seed": self.seed + index, "num_images": 1, "regions": regions, "label": label})

    @property
    def draws(self) -> bool:
        """Whether the base draws and loads no weights."""
        return bases.get(self.base).draws

    def lane(self) -> Lane:
        return "cpu" if self.draws else "device"

    def priority(self) -> int:
        return by_length(self.num_images)

    def length(self) -> int:
        return self.num_images


class Inpaint(Painting):
    """Paint a defect into the masked area of a good part."""

    title: ClassVar[str] = "Paint a defect"
    skeleton: ClassVar[dict[str, Any]] = {"image": "image.png", "mask": "mask.png", "defect": "scratch"}
    unsaid: ClassVar[frozenset[str]] = DIFFUSION | {"num_candidates", "select", "attention_maps"}
    task: Literal["inpaint"] = "inpaint"
