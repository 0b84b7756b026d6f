"""The request that writes captions for the pictures of a data set. Pydantic only."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pipelines.core.requests.base import Lane, one_or_many
from pipelines.core.requests.check import Check

Captioner = Literal["attributes", "folder", "said", "keywords", "blip2", "blip", "llava", "endpoint"]
LIGHT = ("attributes", "folder", "said", "endpoint")
"""Those that load no weights here."""
MOST_WORDS = 64
Words = Annotated[str, Field(min_length=1, max_length=100)]


class Caption(Check):
    """Write a caption for each picture of a data set, which is named as `check` names it."""

    title: ClassVar[str] = "Write captions"
    task: Literal["caption"] = "caption"  # type: ignore[assignment]
    captioners: Annotated[tuple[Captioner, ...], BeforeValidator(one_or_many)] = Field(
        ("attributes",),
        min_length=1,
        max_length=8,
        description="What looks at a picture, in the order of preference: attributes = the mask measured (offline),"
        " folder = the folder's name, said = the caption that is there, keywords = the words that fit best (CLIP),"
        " blip2, blip, llava = networks, endpoint = a server of your own",
    )
    template: str = Field(
        "{caption}",
        min_length=1,
        max_length=1000,
        description="How a caption is put together: {caption}, {defect}, {product}, {token}, {folder}, {keywords}",
    )
    templates: dict[str, str] = Field({}, max_length=200, description="Templates of single classes, by their names")
    prompt: str = Field(
        "", max_length=1000, description="What the networks are asked; it may hold {defect} and {product}"
    )
    product: str = Field("", max_length=100, description="What the part is called, such as wood")
    token: str = Field("", max_length=100, description="The word that a training taught, for {token}")
    keywords: Annotated[tuple[Words, ...], BeforeValidator(one_or_many)] = Field(
        (), max_length=MOST_WORDS, description="Words for {keywords}, and for CLIP to choose among"
    )
    best_of: bool = Field(
        False, description="Also try variants of each caption; CLIP keeps what fits the picture best, scores are told"
    )
    clips: Annotated[tuple[Words, ...], BeforeValidator(one_or_many)] = Field(
        (), max_length=4, description="CLIPs that rank, the mean of several; empty = the first that is here"
    )
    max_new_tokens: int = Field(40, ge=4, le=400, description="How long a network's caption may become")
    batch_size: int = Field(4, ge=1, le=64, description="Pictures looked at together")
    only: tuple[str, ...] = Field(
        (), max_length=200_000, description="Only these pictures, by asset or by their place in the folder; empty = all"
    )
    write: Literal["review", "empty", "all"] = Field(
        "empty",
        description="Into a project: empty = where there is no caption yet, all = instead of what is there, review ="
        " nothing, to be taken by hand",
    )

    def lane(self) -> Lane:
        return "cpu" if set(self.captioners) <= set(LIGHT) and not self.best_of else "device"
