"""The request that makes whole pictures: from words, from a picture, or by an instruction. Pydantic only.

Where it names a folder, a prompt file or a finished training, core/unfold puts in their place what they hold.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipelines.core import bases, negatives
from pipelines.core.requests.base import IMAGE, File, Lane, by_length, one_or_many
from pipelines.core.requests.diffusion import Diffusion, Prompt
from pipelines.core.requests.generate import SEED_MAX, Base

Mode = Literal["text", "image", "edit"]
MODES: tuple[Mode, ...] = ("text", "image", "edit")
MOST_PROMPTS = 10_000
MOST_PICTURES = 20_000
MOST_MADE = 100_000
MOST_AT_ONCE = 8
LEAST_PX, MOST_PX = 16, 4096


def _known_negatives(name: str) -> str:
    negatives.words(name)
    return name


def _no_drawing(name: str) -> str:
    if bases.get(name).draws:
        raise ValueError(f"base {name} draws defects into pictures and makes none: choose a diffusion base")
    return name


class Text(Diffusion):
    """Make pictures from words, from a picture, or by an instruction."""

    title: ClassVar[str] = "Make pictures from words"
    skeleton: ClassVar[dict[str, Any]] = {"from_run": "run"}
    unsaid: ClassVar[frozenset[str]] = frozenset(
        {"prompts", "prompt_file", "images", "start", "limit", "from_run", "trained", "batch_size"}
    )
    task: Literal["text"] = "text"
    base: Annotated[Base, AfterValidator(_no_drawing)] | None = Field(
        None, description="Which diffusion base makes them, a key of presets/bases.toml; empty = that of `from_run`"
    )
    mode: Mode | None = Field(
        None,
        description="What is done: text = from words alone, image = a picture made anew, edit = a picture changed by an"
        " instruction; empty = text without a picture, else edit where the base can, else image",
    )
    prompt: Prompt = Field("", description="What should be seen, in words; for an edit what should be done")
    prompts: tuple[Prompt, ...] = Field(
        (), max_length=MOST_PROMPTS, description="Several prompts, each with its own pictures"
    )
    prompt_file: str | None = Field(
        None, min_length=1, description="A text file with a prompt a line; what follows # at the start is passed over"
    )
    prefix: Prompt = Field("", description="Put before each prompt")
    negative_preset: Annotated[str, AfterValidator(_known_negatives)] = Field(
        negatives.NONE, description="A list of words that should not be seen, from presets/negatives.toml"
    )
    image: File | None = Field(
        None,
        json_schema_extra=IMAGE,
        description="The picture to start from, or a folder of them; grey and 16-bit ones are read as they are looked"
        " at, and what is made is 8-bit RGB",
    )
    images: Annotated[tuple[File, ...], BeforeValidator(one_or_many)] = Field(
        (),
        max_length=MOST_PICTURES,
        json_schema_extra=IMAGE,
        description="Several pictures to start from: files, a folder, a project or a run",
    )
    start: int = Field(0, ge=0, description="How many pictures of the folder are passed over")
    limit: int | None = Field(None, ge=1, description="How many pictures of the folder are taken; empty = all")
    strength: float = Field(
        0.6, ge=0.05, le=1, description="How far it may stray from the picture it is made from: 1 = all the way"
    )
    width: int | None = Field(
        None,
        ge=LEAST_PX,
        le=MOST_PX,
        description="In pixels, rounded to what the base can; empty = by the base, and by the shape of the picture",
    )
    height: int | None = Field(None, ge=LEAST_PX, le=MOST_PX, description="In pixels, as the width")
    num_images: int = Field(1, ge=1, le=MOST_MADE, description="How many for each prompt and each picture")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same picture; picture k uses seed + k")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=MOST_AT_ONCE,
        description="How many are made at once; the same pictures, to a grey level; empty = 8 on a GPU, 1 on a CPU",
    )
    from_run: str | None = Field(
        None, min_length=1, description="A finished training: its base, adapter and prompt, where nothing else is said"
    )
    trained: Literal["normal", "defect"] = Field(
        "defect", description="Which prompt of the training: that of good parts, or that of the defect"
    )

    @model_validator(mode="after")
    def _one_way_to_ask(self) -> Self:
        if sum(map(bool, (self.prompt, self.prompts, self.prompt_file))) > 1:
            raise ValueError("prompt, prompts and prompt_file say the same thing: give one of them")
        if self.image and self.images:
            raise ValueError("image is for one picture, images for several: give one or the other")
        if self.length() > MOST_MADE:
            raise ValueError(f"{self.length()} pictures are too many for one run: ask for up to {MOST_MADE}")
        if self.seed + self.length() - 1 > SEED_MAX:
            raise ValueError(f"seed {self.seed} + {self.length()} pictures passes {SEED_MAX}: choose a smaller seed")
        self._check_mode()
        if self.from_run is None:
            self._check_whole()
        return self

    def _check_mode(self) -> None:
        if self.mode == "text" and self.sources:
            raise ValueError("mode text takes no picture: leave the picture out, or choose image or edit")
        if self.mode in ("image", "edit") and not self.sources:
            raise ValueError(f"mode {self.mode} needs a picture: give image or images, or leave mode out")
        if (self.start or self.limit) and not self.sources:
            raise ValueError("start and limit are for a folder of pictures: name it in images")

    def _check_whole(self) -> None:
        """What a training may bring must be said where there is none."""
        if self.base is None:
            raise ValueError("base is missing: name a diffusion base, such as sd15, or a finished training in from_run")
        task, name = self.does, self.base
        known = bases.get(name).tasks
        can = ", ".join(one for one in known if one in MODES) or "inpaint"
        if known and task not in known:
            raise ValueError(f"base {name} cannot do {task}, only {can}: choose another base")
        if task != "image" and not (self.prompt or self.prompts or self.prompt_file):
            raise ValueError("prompt is missing: say in words what should be seen, or what should be done")

    @property
    def sources(self) -> tuple[str, ...]:
        """The pictures to start from."""
        return (self.image,) if self.image else self.images

    @property
    def does(self) -> Mode:
        """What is done, where nobody said."""
        if self.mode is not None:
            return self.mode
        if not self.sources:
            return "text"
        return "edit" if self.base is not None and "edit" in bases.get(self.base).tasks else "image"

    @property
    def words(self) -> tuple[str, ...]:
        """The prompts, one at least."""
        return self.prompts or (self.prompt,)

    def for_image(self, index: int) -> "Text":
        """The request of picture `index` alone: what its metadata holds and what makes it again.

        Picture by picture, for each all prompts, of each all variants.
        """
        rest, _ = divmod(index, self.num_images)
        place, word = divmod(rest, len(self.words))
        alone: dict[str, Any] = {name: type(self).model_fields[name].default for name in self.unsaid}
        alone |= {"prompt": self.words[word], "image": self.sources[place] if self.sources else None}
        return self.model_copy(update={**alone, "mode": self.does, "seed": self.seed + index, "num_images": 1})

    def lane(self) -> Lane:
        return "device"

    def priority(self) -> int:
        return by_length(self.length())

    def length(self) -> int:
        return max(1, len(self.sources)) * len(self.words) * self.num_images
