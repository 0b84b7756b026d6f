"""The request that turns adapters into other forms. Pydantic only."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.core.requests.base import Lane, Request
from pipelines.core.requests.diffusion import MOST_ADAPTERS, AdapterUse
from pipelines.core.requests.generate import Base

FORMS = ("kohya", "diffusers", "merged")


def _uses(value: Any) -> Any:
    """One adapter or several; a bare name is one at its full weight."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple({"path": one} if isinstance(one, str) else one for one in several)


class Convert(Request):
    """Turn an adapter into another form, or lay adapters into a base for good."""

    title: ClassVar[str] = "Convert an adapter"
    skeleton: ClassVar[dict[str, Any]] = {"data": "adapter.safetensors"}
    task: Literal["convert"] = "convert"
    data: Annotated[tuple[AdapterUse, ...], BeforeValidator(_uses)] = Field(
        min_length=1,
        max_length=MOST_ADAPTERS,
        description="The adapter, by file, library id or the run that trained it; several with weights to merge them",
    )
    what: Literal["kohya", "diffusers", "merged"] = Field(
        "diffusers",
        description="kohya = a file for most other tools, diffusers = one clean file for diffusers and this studio,"
        " merged = a whole base with the adapters in it",
    )
    base: Base | None = Field(
        None, description="The base to merge into; else only where a file does not spell its modules out"
    )
    save_dtype: Literal["float16", "bfloat16", "float32"] = Field(
        "float16", description="Number format of a merged base; float16 takes half the room of float32"
    )

    @model_validator(mode="after")
    def _enough_said(self) -> Self:
        if self.what == "merged" and self.base is None:
            raise ValueError("base is missing: name the base that the adapters are merged into")
        if self.what != "merged" and len(self.data) > 1:
            raise ValueError(
                f"data has {len(self.data)} adapters and {self.what} is the form of one: convert each alone"
            )
        return self

    def lane(self) -> Lane:
        return "cpu" if self.base is None else "device"

    def priority(self) -> int:
        return 5
