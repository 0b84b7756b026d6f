"""The request that sets a drawn defect's own parameters after real ones. Pydantic only."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.core import kinds
from pipelines.core.requests.check import Check
from pipelines.core.requests.generate import SEED_MAX

AUTO = "auto"


def _known_kind(name: str) -> str:
    return name if name == AUTO else kinds.get(name).id


class Fit(Check):
    """Set a drawn kind of defect to look like real ones of one data set, which is named as `check` names it."""

    title: ClassVar[str] = "Fit a drawn defect to real ones"
    task: Literal["fit"] = "fit"  # type: ignore[assignment]
    defect: str | None = Field(
        None, min_length=1, max_length=200, description="Which defect of the data set; empty = the only one"
    )
    kind: Annotated[str, AfterValidator(_known_kind)] = Field(
        AUTO,
        description="Which drawn kind is fitted; auto = the one that comes nearest to the real ones,"
        " faults of printed boards aside",
    )
    num_examples: int = Field(8, ge=1, le=64, description="From how many real defects at most; the seed says which")
    seed: int = Field(0, ge=0, le=SEED_MAX, description="Same seed, same fit")
    label: str | None = Field(
        None, min_length=1, max_length=60, description="Save it as a preset of your own under this name; empty = do not"
    )
    product: str | None = Field(
        None, min_length=1, max_length=60, description="Under which product it is saved; empty = called as the data set"
    )

    @model_validator(mode="after")
    def _saved_under_a_name(self) -> Self:
        if self.product is not None and self.label is None:
            raise ValueError("product says where a preset is saved: give it a label too, or leave product out")
        return self
