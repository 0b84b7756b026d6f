"""Requests over data sets. Pydantic only."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from pipelines.core import splits
from pipelines.core.requests.base import Part, Request, one_or_many

MOST_NAMED = 20_000
PICTURE = re.compile(r"[^/\\]+/(\d{3}/)?\d{5}")
Format = Literal[
    "mvtec",
    "coco",
    "yolo-seg",
    "yolo",
    "voc",
    "folder",
    "defectfill",
    "visa",
    "magnetic_tile",
    "deeppcb",
    "elpv",
    "sagemaker",
    "cvat",
    "labelme",
    "matlab",
    "imagefolder",
    "captioned",
    "webdataset",
]
FORMATS: tuple[Format, ...] = get_args(Format)


class Split(Part):
    """Shares of the source pictures; all pictures made from one source stay in one part."""

    train: float = Field(0.7, ge=0, le=1, description="Share of the source pictures for training")
    val: float = Field(0.1, ge=0, le=1, description="Share for validation")
    test: float = Field(0.2, ge=0, le=1, description="Share for testing")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train {self.train} + val {self.val} + test {self.test} = {total:g}: the shares must add up to 1"
            )
        return self

    def shares(self) -> dict[splits.Part, float]:
        """What `splits.deal` takes."""
        return {"train": self.train, "val": self.val, "test": self.test}


class Export(Request):
    """Write finished pictures as a labelled data set."""

    title: ClassVar[str] = "Export a data set"
    skeleton: ClassVar[dict[str, Any]] = {"data": ["run"]}
    task: Literal["export"] = "export"
    data: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(
        min_length=1, description="Runs, by id or folder, or projects to export", json_schema_extra={"file": "data"}
    )
    kept_only: bool = Field(False, description="Only what was kept in review; discarded pictures never leave")
    only: tuple[str, ...] = Field(
        (), max_length=MOST_NAMED, description="Only these pictures of them, as RUN/00000; empty = all"
    )
    without: tuple[str, ...] = Field(
        (), max_length=MOST_NAMED, description="All of them but these pictures, as RUN/00000"
    )
    format: Format = Field("mvtec", description="Layout of the data set")
    segmentation: Literal["rle", "polygon"] = Field(
        "rle", description="How COCO holds a mask: exact run lengths, or outlines"
    )
    output: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A folder, or a name that ends in .zip; for a webdataset also an address such as s3://bucket/name;"
        " empty = a ZIP in the run's folder",
    )
    name: str = Field(
        "product", min_length=1, max_length=64, description="Name of the product, the category in the MVTec tree"
    )
    split: Split = Field(Split(), description="Shares for train, val and test")
    shard_size: int = Field(1000, ge=1, le=100_000, description="How many pictures lie in one shard of a webdataset")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Which sources go where")
    pairs: bool = Field(True, description="Also export the good pictures they were made from, and say which is whose")

    @model_validator(mode="after")
    def _names_pictures(self) -> Self:
        for field, names in (("only", self.only), ("without", self.without)):
            for picture in names:
                if not PICTURE.fullmatch(picture):
                    raise ValueError(
                        f"{field}: {picture!r} is no picture: write RUN/00000, the run's name and the picture's"
                    )
        return self

    @model_validator(mode="after")
    def _goes_there(self) -> Self:
        if self.output is not None and "://" in self.output and self.format != "webdataset":
            raise ValueError(
                f"output: only a webdataset goes to an address; for {self.format} name a folder or a .zip instead of"
                f" {self.output}"
            )
        return self

    @property
    def in_shards(self) -> bool:
        """Whether it is written shard by shard, each committed by itself, and not packed at once."""
        return self.format == "webdataset" and self.output is not None and not self.output.lower().endswith(".zip")

    def priority(self) -> int:
        return 5
