"""The requests that train. Pydantic only: what may be asked is known here, how a network learns is not.

Field names are those of diffusers' own training scripts, so that what people know from there holds here.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.core import bases
from pipelines.core.requests.base import ADAPTER, File, Lane, Request
from pipelines.core.requests.diffusion import Prompt
from pipelines.core.requests.generate import SEED_MAX, Base

MOST_STEPS = 1_000_000
MOST_VIEWS = 256

Layout = Literal[
    "auto", "mvtec", "defectfill", "visa", "magnetic_tile", "deeppcb", "elpv", "voc", "yolo", "coco", "labelme", "cvat",
    "sagemaker", "matlab", "imagefolder", "paired", "captioned", "run", "packed",
]  # fmt: skip
Choice = Literal["leave_out", "use", "mend"]
Kind = Literal["lora", "dora", "loha", "lokr"]


def _learns(name: str) -> str:
    if bases.get(name).draws:
        raise ValueError(f"base {name} draws and learns nothing: choose a diffusion base, such as sd15")
    return name


def _one_word(text: str) -> str:
    if text and len(text.split()) != 1:
        raise ValueError(f"token {text!r} is {len(text.split())} words: a new token is one, such as <scratch>")
    return text


class Training(Request):
    """What every training may be told: data, length, optimiser, noise, checkpoints, what it shows on the way."""

    skeleton: ClassVar[dict[str, Any]] = {"data": "data", "base": "sd15"}

    base: Annotated[Base, AfterValidator(_learns)] = Field(
        description="The diffusion base that learns, a key of presets/bases.toml"
    )
    data: str = Field(
        min_length=1,
        description="The pictures: a data set's folder, a run, a project, or a data set by its id",
        json_schema_extra={"file": "data"},
    )
    layout: Layout = Field("auto", description="How the data set is laid out; auto = found out by looking")
    defect: str | None = Field(
        None, min_length=1, max_length=200, description="Which defect of the data set; empty = the good pictures alone"
    )
    faults: dict[str, Choice] = Field(
        default_factory=dict,
        description="What is done about each kind of fault that the pre-flight finds: leave_out, use or mend",
    )
    train_share: float = Field(
        1.0, gt=0, le=1, description="Share of the pictures to learn from, the first by name; the rest is for a test"
    )
    validation_split: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the pictures held out, to see how well it does on what it never saw; of up to 3 none",
    )

    resolution: int | None = Field(
        None, ge=16, le=2048, description="Side of the squares it learns from, in pixels; empty = the base's own"
    )
    augment: bool = Field(True, description="Show pictures flipped, turned, cropped and a little lighter or darker")
    oriented: bool = Field(False, description="The parts all lie the same way: no picture is flipped or turned")
    views: int = Field(
        16, ge=1, le=MOST_VIEWS, description="How many ways each picture is shown; each is encoded once and kept"
    )
    mix: Literal["none", "mixup", "cutmix"] = Field(
        "none", description="Blend pictures of a batch with one another (experimental)"
    )
    cache_latents: bool = Field(
        True, description="Keep what the autoencoder makes of the pictures: much faster, the very same result"
    )

    train_batch_size: int = Field(4, ge=1, le=256, description="How many pictures a step looks at")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=256, description="How many batches make up a step; for large batches in little memory"
    )
    max_train_steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="How many steps; empty = by num_train_epochs"
    )
    num_train_epochs: int | None = Field(
        None, ge=1, le=100_000, description="How often every picture is seen, where the steps are not said"
    )
    learning_rate: float = Field(1e-4, gt=0, le=10, description="How far each step goes")
    lr_scheduler: Literal["constant", "linear", "cosine", "one_cycle"] = Field(
        "constant", description="How the learning rate goes over the training"
    )
    lr_warmup_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Over how many steps the learning rate rises")
    optimizer: Literal["adamw", "adamw8bit", "prodigy", "adafactor"] = Field(
        "adamw", description="What takes the steps; adamw8bit needs less memory, prodigy finds its own rate (set it 1)"
    )
    adam_weight_decay: float = Field(1e-2, ge=0, le=1, description="How strongly weights are drawn to nothing")
    max_grad_norm: float = Field(1.0, gt=0, le=1000, description="Longest step a gradient may ask for")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = Field(
        None, description="Number format it computes in; empty = bf16 on a GPU that has it, else no"
    )
    gradient_checkpointing: bool = Field(False, description="Less memory for a third more time")
    use_ema: bool = Field(False, description="Keep a running mean of the weights, and save that")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="How slowly the running mean follows")

    snr_gamma: float | None = Field(
        None, gt=0, le=100, description="Weigh noise levels by min-SNR (5 is usual); empty = all alike"
    )
    min_timestep: int = Field(0, ge=0, le=999, description="Least noise that is learned from, 0 to 999")
    max_timestep: int = Field(1000, ge=1, le=1000, description="Noise that is no longer learned from, 1 to 1000")
    noise_offset: float = Field(0.0, ge=0, le=1, description="Noise of the whole picture's brightness (0.05 is usual)")

    class_data: str | None = Field(
        None,
        min_length=1,
        description="Prior preservation: pictures of the ordinary kind, so that it is not forgotten",
        json_schema_extra={"file": "data"},
    )
    class_prompt: Prompt = Field("a photo of a part", description="What the pictures of the ordinary kind show")
    num_class_images: int = Field(
        0, ge=0, le=10_000, description="Prior preservation without class_data: so many are made by the base itself"
    )
    prior_loss_weight: float = Field(1.0, ge=0, le=10, description="How much the ordinary kind counts")

    checkpointing_steps: int = Field(500, ge=1, le=MOST_STEPS, description="Every how many steps it is saved")
    checkpoints_total_limit: int = Field(
        3, ge=1, le=100, description="How many checkpoints are kept; the best is kept beside them"
    )
    validation_steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Every how many steps it shows what it can; empty = at each checkpoint"
    )
    validation_prompts: tuple[Prompt, ...] = Field(
        (), max_length=8, description="What it then shows; empty = what it is trained on"
    )
    num_validation_images: int = Field(4, ge=0, le=16, description="How many pictures a prompt; 0 = none")
    resume_from: File | None = Field(
        None,
        min_length=1,
        json_schema_extra=ADAPTER,
        description="An adapter this one starts from: a finished training, the library's, or a file; steps count anew",
    )
    estimate: bool = Field(False, description="Only take a few steps, and say how long and how much memory it takes")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same training, to the bit")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.max_train_steps is not None and self.num_train_epochs is not None:
            raise ValueError("max_train_steps and num_train_epochs say the same thing: give one of them")
        if self.min_timestep >= self.max_timestep:
            raise ValueError(
                f"min_timestep {self.min_timestep} is not below max_timestep {self.max_timestep}: nothing is left"
            )
        if self.class_data and self.num_class_images:
            raise ValueError("class_data brings the ordinary pictures: leave num_class_images at 0")
        if self.lr_scheduler == "one_cycle" and self.lr_warmup_steps:
            raise ValueError("one_cycle brings its own rise: leave lr_warmup_steps at 0")
        if self.max_train_steps is not None and self.lr_warmup_steps >= self.max_train_steps:
            raise ValueError(
                f"lr_warmup_steps {self.lr_warmup_steps} leave nothing of {self.max_train_steps} steps: choose fewer"
            )
        return self

    def refuse_mix(self) -> None:
        """For a training that needs to know where the defects are."""
        if self.mix != "none":
            raise ValueError(f"mix {self.mix}: blended pictures lose their masks, which this training needs; use none")

    @property
    def defects(self) -> tuple[str, ...]:
        """What it learns of the data set's defects, each once; none = the good pictures."""
        return () if self.defect is None else (self.defect,)

    @property
    def keeps_prior(self) -> bool:
        return self.class_data is not None or self.num_class_images > 0

    def lane(self) -> Lane:
        return "device"

    def priority(self) -> int:
        """Long work: whatever a person waits for goes first, between two steps."""
        return -5


class Adapting(Training):
    """A training whose product is an adapter: what that is made of, and what calls it up."""

    instance_prompt: Prompt = Field("", description="What a whole picture is called")
    kind: Kind = Field("lora", description="lora; dora (also learns lengths); loha and lokr (other products)")
    rank: int = Field(32, ge=1, le=512, description="How much the adapter can hold")
    alpha: float | None = Field(None, gt=0, le=1024, description="Its strength is alpha / rank; empty = as the rank")
    use_rslora: bool = Field(False, description="Strength alpha / sqrt(rank): steadier at high ranks")
    first_rank: int | None = Field(
        None, ge=1, le=512, description="Begin with this rank and double it on the way to `rank`; empty = all at once"
    )
    growth_share: float = Field(0.5, gt=0, le=1, description="Over which share of the steps the rank grows")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the adapter left out at random in each step")
    target_modules: tuple[str, ...] = Field(
        (), max_length=100, description="Which layers it changes, by how their names end; empty = the attention's"
    )
    text_encoder: bool = Field(True, description="Also train the text encoder")
    text_encoder_lr: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the text encoder; empty = that of the rest"
    )

    @model_validator(mode="after")
    def _adapter_holds_together(self) -> Self:
        if self.first_rank is not None and self.first_rank > self.rank:
            raise ValueError(f"first_rank {self.first_rank} is above rank {self.rank}: the rank grows, it never falls")
        if self.first_rank is not None and self.kind not in ("lora", "dora"):
            raise ValueError(f"first_rank: only lora and dora grow, not {self.kind}; leave it empty")
        if self.resume_from is not None and self.kind not in ("lora", "dora"):
            raise ValueError(f"resume_from: {self.kind} starts from nothing; choose lora or dora, or leave it empty")
        if self.use_rslora and self.kind not in ("lora", "dora"):
            raise ValueError(f"use_rslora: only lora and dora know it, not {self.kind}; set it false")
        return self

    @property
    def strength(self) -> float:
        """alpha."""
        return float(self.rank) if self.alpha is None else self.alpha

    @property
    def whole_prompt(self) -> str:
        """What calls up what was learned: who makes pictures with it later writes this."""
        return self.instance_prompt


class TrainLora(Adapting):
    """Teach a base what your parts and their defects look like: DreamBooth with a low-rank adapter.

    In two stages (TengTengDiff): stage 1 learns the good part, stage 2 takes up its adapter and learns the defect.
    """

    title: ClassVar[str] = "Train an adapter"
    task: Literal["train-lora"] = "train-lora"
    stage: Literal[1, 2] | None = Field(
        None,
        description="1 = the good part; 2 = the defect on top of a stage 1 (resume_from, else the newest finished one"
        " of this data set), its steps are additional; empty = all at once",
    )
    instance_prompt: Prompt = Field(
        "", description="What a whole picture is called; empty = `a vfx` of good parts, `a vfx with sks` of the defect"
    )
    part_prompt: Prompt = Field(
        "", description="What the defect alone is called, its surroundings painted grey; empty = such are not shown"
    )
    part_share: float = Field(0.5, ge=0, le=1, description="Share of the pictures that show the defect alone")
    use_captions: bool = Field(False, description="A picture's own caption instead of the prompt, where it has one")
    inversion: File | None = Field(
        None,
        min_length=1,
        json_schema_extra=ADAPTER,
        description="A new word (textual inversion) that stands in the prompts; it stays as it is",
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.stage == 1 and self.defect is not None:
            raise ValueError(f"stage 1 learns good parts: leave defect {self.defect!r} out, or choose stage 2")
        if self.stage == 2 and self.defect is None:
            raise ValueError("stage 2 learns one defect: name it in defect")
        if self.part_prompt and self.defect is None:
            raise ValueError("part_prompt calls a defect: name the defect, or leave it empty")
        return self

    @property
    def whole_prompt(self) -> str:
        return self.instance_prompt or ("a vfx" if self.defect is None else "a vfx with sks")


class TrainInversion(Training):
    """Teach a base a new word for a defect: textual inversion (arXiv 2208.01618). Nothing else of it changes."""

    title: ClassVar[str] = "Train a word"
    skeleton: ClassVar[dict[str, Any]] = {**Training.skeleton, "defect": "defect"}
    task: Literal["train-inversion"] = "train-inversion"
    learning_rate: float = Field(5e-4, gt=0, le=10, description="How far each step goes")
    placeholder_token: Annotated[str, AfterValidator(_one_word)] = Field(
        "", max_length=60, description="The new word, such as <scratches>; empty = the defect's name in < >"
    )
    initializer_token: str = Field("texture", min_length=1, max_length=60, description="The word that it starts from")
    num_vectors: int = Field(1, ge=1, le=32, description="How many vectors the word has: more hold more")
    instance_prompt: Prompt = Field(
        "", description="A sentence with {token} in it; empty = the usual ones of textual inversion in turn"
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.defect is None and not self.placeholder_token:
            raise ValueError("placeholder_token is missing: name the new word, such as <scratches>, or the defect")
        if self.instance_prompt and "{token}" not in self.instance_prompt:
            raise ValueError("instance_prompt has no {token} in it: that is where the new word stands")
        return self

    @property
    def token(self) -> str:
        return self.placeholder_token or f"<{'-'.join(str(self.defect).split())}>"
