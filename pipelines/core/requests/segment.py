"""The request that finds the masks of pictures which show a defect. Pydantic only."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pipelines.core.requests.base import IMAGE, File, Request

METHODS = ("auto", "difference", "grey", "u2net")
MOST_PICTURES = 20_000


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Pictures = Annotated[tuple[File, ...], BeforeValidator(_one_or_many)]


class Segment(Request):
    """Find where pictures show their defect, and mark it."""

    title: ClassVar[str] = "Find the masks"
    skeleton: ClassVar[dict[str, Any]] = {"data": ["image.png"]}
    task: Literal["segment"] = "segment"
    data: Pictures = Field(
        min_length=1,
        max_length=MOST_PICTURES,
        json_schema_extra=IMAGE,
        description="Pictures that show a defect: files, a folder, a project or a run",
    )
    clean: Pictures = Field(
        (),
        max_length=MOST_PICTURES,
        json_schema_extra=IMAGE,
        description="The same pictures without the defect, in the same order",
    )
    method: Literal["auto", "difference", "grey", "u2net"] = Field(
        "auto",
        description="difference = what changed from the clean picture, grey = what is not mid-grey (the part picture"
        " of a dual pair), u2net = what draws the eye (U-2-Net, where its weights are); auto = the first of difference,"
        " u2net, grey that can be had",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=255,
        description="From how many grey levels of 255 on it is a defect; empty = found from the picture",
    )
    minimum_area_px: int = Field(16, ge=1, le=1_000_000, description="Smaller specks are dropped, smaller holes filled")
    defect: str = Field("defect", min_length=1, max_length=64, description="What the defect found is called")

    def for_image(self, index: int) -> "Segment":
        """The request of picture `index` alone: what its metadata holds and what makes it again."""
        return self.model_copy(update={"data": (self.data[index],), "clean": self.clean[index : index + 1]})

    def length(self) -> int:
        return len(self.data)
