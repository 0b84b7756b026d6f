"""The requests of DualAnoDiff (CVPR 2025): teach a base pairs of a damaged part and its defect alone; make such."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipelines.core import bases
from pipelines.core.requests.base import DUAL, IMAGE, File, Lane, Request, by_length, one_or_many
from pipelines.core.requests.diffusion import Prompt, Scheduler
from pipelines.core.requests.generate import SEED_MAX, Base
from pipelines.core.requests.train import Training

FAMILY = "stable-diffusion"
MOST_MADE = 100_000
MOST_BACKGROUNDS = 20_000
LEAST_PX, MOST_PX = 16, 2048


def _two_branches(name: str) -> str:
    if bases.get(name).family != FAMILY:
        raise ValueError(
            f"base {name} has not the UNet of SD1 or SD2 that two branches are made for: choose sd15 or sd2"
        )
    return name


SdBase = Annotated[Base, AfterValidator(_two_branches)]


class TrainDual(Training):
    """Teach a base to make damaged parts together with their masks: DualAnoDiff, of two branches that see each other.

    One branch learns the whole picture, the other the defect alone on grey, from which the mask is read.
    """

    title: ClassVar[str] = "Train pairs of part and mask"
    skeleton: ClassVar[dict[str, Any]] = {**Training.skeleton, "defect": "defect"}
    task: Literal["train-dual"] = "train-dual"
    base: SdBase = Field(description="The diffusion base that learns, with the UNet of SD1 or SD2")
    instance_prompt: Prompt = Field("a vfx with sks", min_length=1, description="What the whole picture is called")
    part_prompt: Prompt = Field("sks", min_length=1, description="What the defect alone is called")
    rank: int = Field(32, ge=1, le=512, description="How much each branch's changes of the attention can hold")
    interaction_rank: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Rank of the layers by which the branches see each other; empty = whole matrices, as published,"
        " which are nine tenths of all that learns",
    )
    text_encoder: bool = Field(True, description="Also train the text encoder")
    text_encoder_lr: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the text encoder; empty = that of the rest"
    )
    background: bool = Field(
        False,
        description="Background compensation: the whole picture also reads its background, its object blacked out as"
        " U-2-Net finds it where its weights are, else only the defect blacked out",
    )
    shared_noise: bool = Field(False, description="Both pictures of a pair get the same noise")
    prompt_noise: float = Field(
        0.0, ge=0, le=1, description="Spread of the noise laid on the prompts, for more variety; 0 = none"
    )
    perceptual_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="How much the defect in the whole picture must look real to LPIPS, whose weights it needs",
    )
    paper_compat: bool = Field(
        False,
        description="As the authors' own code: the branches disturb each other from the first step on, and backgrounds"
        " are not scaled as the base expects them",
    )
    learning_rate: float = Field(2e-5, gt=0, le=10, description="How far each step goes")
    resume_from: File | None = Field(
        None,
        min_length=1,
        json_schema_extra=DUAL,
        description="A model of pairs this one starts from: a finished train-dual, or a file; steps count anew",
    )

    @model_validator(mode="after")
    def _pairs_hold_together(self) -> Self:
        if self.defect is None:
            raise ValueError("defect is missing: name the defect of the data set whose pairs it should learn")
        self.refuse_mix()
        if self.keeps_prior:
            raise ValueError(
                "class_data and num_class_images bring pictures without a defect, and this training learns pairs:"
                " leave them out"
            )
        if self.validation_prompts:
            raise ValueError("validation_prompts: a pair is called by instance_prompt and part_prompt; leave them out")
        return self


class Dual(Request):
    """Make damaged parts together with their masks, by a base that train-dual taught."""

    title: ClassVar[str] = "Make pairs of part and mask"
    skeleton: ClassVar[dict[str, Any]] = {"model": "run"}
    task: Literal["dual"] = "dual"
    model: File = Field(
        min_length=1,
        json_schema_extra=DUAL,
        description="What makes the pairs: a finished train-dual, its file, or a file of DualAnoDiff's own code",
    )
    base: SdBase | None = Field(None, description="Which diffusion base it is laid over; empty = that of the training")
    instance_prompt: Prompt = Field("", description="What the whole picture is called; empty = as in the training")
    part_prompt: Prompt = Field("", description="What the defect alone is called; empty = as in the training")
    num_images: int = Field(1, ge=1, le=MOST_MADE, description="How many pairs")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same pair; pair k uses seed + k")
    width: int | None = Field(
        None,
        ge=LEAST_PX,
        le=MOST_PX,
        description="In pixels, rounded to what the base can; empty = as it was trained",
    )
    height: int | None = Field(None, ge=LEAST_PX, le=MOST_PX, description="In pixels, as the width")
    num_inference_steps: int = Field(
        50, ge=1, le=200, description="How many steps; more take longer and are finer (published: 100)"
    )
    guidance_scale: float | None = Field(
        None,
        ge=1,
        le=30,
        description="How strongly the prompts pull; 1 = not at all; empty = 2.5, and 2 with backgrounds",
    )
    adapter_scale: float = Field(
        1.0,
        ge=0,
        le=3,
        description="How far from the bare base to what was trained: 0 = the base, 1 = as trained, more goes past it",
    )
    scheduler: Scheduler | None = Field(None, description="How the steps are taken; empty = the base's own")
    shared_noise: bool | None = Field(
        None, description="Both pictures of a pair begin in the same noise; empty = as it was trained"
    )
    prompt_noise: float = Field(
        0.0, ge=0, le=1, description="Spread of the noise laid on the prompts, for more variety; 0 = none"
    )
    backgrounds: Annotated[tuple[File, ...], BeforeValidator(one_or_many)] = Field(
        (),
        max_length=MOST_BACKGROUNDS,
        json_schema_extra=IMAGE,
        description="Good parts whose background is read, in turn: files, a folder, a project or a run; for a model"
        " that was trained with background",
    )
    method: Literal["grey", "u2net"] = Field(
        "grey",
        description="How the mask is found in the part picture: grey = what is not mid-grey, u2net = what draws the eye"
        " (U-2-Net, where its weights are)",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=255,
        description="From how many grey levels of 255 on it is a defect; empty = found from the picture",
    )
    minimum_area_px: int = Field(16, ge=1, le=1_000_000, description="Smaller specks are dropped, smaller holes filled")
    defect: str = Field("", max_length=64, description="What the defect is called; empty = as in the training")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=8,
        description="How many pairs are made at once; the same pictures, to a grey level; empty = 4 on a GPU, 1 on a"
        " CPU",
    )

    @model_validator(mode="after")
    def _seeds_suffice(self) -> Self:
        if self.seed + self.num_images - 1 > SEED_MAX:
            raise ValueError(
                f"seed {self.seed} + num_images {self.num_images} passes {SEED_MAX}: choose a smaller seed"
            )
        return self

    def for_image(self, index: int) -> "Dual":
        """The request of pair `index` alone: what its metadata holds and what makes it again."""
        behind = self.backgrounds
        own = (behind[index % len(behind)],) if behind else ()
        change = {"seed": self.seed + index, "num_images": 1, "backgrounds": own, "batch_size": None}
        return self.model_copy(update=change)

    def lane(self) -> Lane:
        return "device"

    def priority(self) -> int:
        return by_length(self.num_images)

    def length(self) -> int:
        return self.num_images
