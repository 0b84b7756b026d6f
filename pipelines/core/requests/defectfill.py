"""The request that teaches a base to paint one kind of defect into a hole: DefectFill (CVPR 2025, arXiv 2503.13985)."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.core.requests.diffusion import Prompt
from pipelines.core.requests.train import Adapting, Training

DEFECT_PROMPT = "A photo of {word}"
OBJECT_PROMPT = "A {object} with {word}"
NAME = "{defect}"
MOST_JOINT = 16


class TrainDefectfill(Adapting):
    """Teach a base that inpaints to paint a defect where you mark it: DefectFill, with its three losses.

    Each step looks at the same noisy pictures twice: the defect's own area hidden, and boxes anywhere hidden.
    """

    title: ClassVar[str] = "Train a defect to paint in"
    skeleton: ClassVar[dict[str, Any]] = {**Training.skeleton, "base": "sd15-inpaint", "defect": "defect"}
    task: Literal["train-defectfill"] = "train-defectfill"
    also: tuple[str, ...] = Field(
        (), max_length=MOST_JOINT, description="More defects of the data set that the same adapter learns"
    )
    word: str = Field(
        "sks",
        min_length=1,
        max_length=60,
        description="What stands for the defect in the prompts: a word without a meaning, or {defect}, its own name",
    )
    new_word: bool = Field(
        False, description="The word is new to the base, as <{defect}> may be, and its vectors are learned along"
    )
    initializer_token: str = Field("texture", min_length=1, max_length=60, description="The word that it starts from")
    num_vectors: int = Field(1, ge=1, le=32, description="How many vectors the word has: more hold more")
    object: str = Field(
        "", max_length=100, description="What the part is called; empty = as the folder of its pictures"
    )
    instance_prompt: Prompt = Field(
        OBJECT_PROMPT, description="What a damaged part is called; {object} and {word} stand for what they are"
    )
    part_prompt: Prompt = Field(DEFECT_PROMPT, description="What the defect alone is called; {word} stands for it")

    defect_loss_weight: float = Field(
        0.5, ge=0, le=10, description="How much the defect counts, its own area hidden, nothing else looked at"
    )
    object_loss_weight: float = Field(
        0.2, ge=0, le=10, description="How much the damaged part counts, boxes anywhere on it hidden"
    )
    attention_loss_weight: float = Field(
        0.05, ge=0, le=10, description="How much it counts that the base looks at the defect where its word is said"
    )
    background_weight: float = Field(
        0.3, ge=0, le=1, description="What the surroundings count beside the defect, where the part is looked at"
    )
    attention_pass: Literal["object", "defect"] = Field(
        "object", description="Of which of the two looks the attention is learned from"
    )
    attention_scales: Literal["mean", "each"] = Field(
        "mean", description="The attention of all layers in the mean (as published), or each against a mask of its size"
    )
    perceptual_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="How much the painted defect must look real to LPIPS, whose weights it needs",
    )
    learning_rate: float = Field(2e-4, gt=0, le=10, description="How far each step goes")
    text_encoder_lr: float | None = Field(
        4e-5, gt=0, le=10, description="Learning rate of the text encoder; empty = that of the rest"
    )
    rank: int = Field(8, ge=1, le=512, description="How much the adapter can hold")
    alpha: float | None = Field(16.0, gt=0, le=1024, description="Its strength is alpha / rank; empty = as the rank")

    @model_validator(mode="after")
    def _words_hold_together(self) -> Self:
        if self.defect is None:
            raise ValueError("defect is missing: name the defect of the data set that it should learn to paint")
        if self.also and NAME not in self.word:
            raise ValueError(
                f"word {self.word!r} stands for {1 + len(self.also)} defects at once: write {NAME} in it, so that each"
                " has its own"
            )
        for field, sentence in (("instance_prompt", self.instance_prompt), ("part_prompt", self.part_prompt)):
            if "{word}" not in sentence:
                raise ValueError(f"{field} {sentence[:80]!r} has no {{word}} in it: that is where the defect stands")
        if not self.defect_loss_weight + self.object_loss_weight:
            raise ValueError("defect_loss_weight and object_loss_weight are both 0: nothing would be learned")
        self.refuse_mix()
        return self

    @property
    def defects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([str(self.defect), *self.also]))

    def word_of(self, defect: str) -> str:
        """What stands for a defect in the prompts."""
        return self.word.replace(NAME, defect if not self.new_word else "-".join(defect.split()))

    def said(self, sentence: str, *defects: str) -> str:
        """A prompt for a picture with these defects: several are joined by `and`."""
        words = " and ".join(self.word_of(one) for one in defects)
        return sentence.replace("{object}", self.object or "part").replace("{word}", words)

    @property
    def whole_prompt(self) -> str:
        return self.said(self.instance_prompt, str(self.defect))
