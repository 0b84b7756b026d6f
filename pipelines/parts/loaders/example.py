"""A labelled picture as a loader finds it, and what may be wrong with it. Knows no layout and opens no file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Choice = Literal["leave_out", "use", "mend"]
Part = Literal["", "train", "val", "test"]
Marks = Literal["bright", "other", "index", "colour"]


@dataclass(frozen=True)
class Runs:
    """A mask that is no file: how many pixels of the picture are unmarked and marked in turn, down its columns.

    So COCO and MATLAB count. It is unrolled when it is looked at, by `reading.mask_of`.
    """

    height: int
    width: int
    lengths: bytes
    """uint32 in the machine's order, the unmarked ones first; a tenth of what numbers take."""


@dataclass(frozen=True)
class Box:
    """A labelled rectangle in pixels, x1 and y1 just past its last pixel. It may lie outside, as it was written."""

    x0: int
    y0: int
    x1: int
    y1: int
    defect: str
    outline: tuple[tuple[float, float], ...] = ()
    """Corners (x, y) of the polygon that the label is; empty where it is the rectangle."""
    runs: Runs | None = None
    """The label's pixels, where it is neither a rectangle nor a polygon."""


@dataclass(frozen=True)
class Reading:
    """How a mask file becomes a mask. Nothing on the disk is changed: a mend is another reading."""

    marks: Marks = "bright"
    """`bright`: above the middle. `other`: every colour but the border's commonest. `index`: the value `index`.

    `colour`: the colour `index`, 0xRRGGBB, on black where the file is transparent.
    """
    index: int = 0
    others: tuple[int, ...] = ()
    """What else a file of colours holds, its background too: each pixel is of the nearest. Empty: `index` exactly."""
    inverted: bool = False
    """Turned over after it was read."""
    turned: int = 1
    """EXIF's orientation 1..8 of the picture, given to a mask that was drawn before the picture was turned."""
    scaled: bool = False
    """Made as large as the picture."""


@dataclass(frozen=True)
class Example:
    """A picture with its label."""

    image: Path
    mask: Path | None = None
    boxes: tuple[Box, ...] = ()
    defect: str = ""
    """As the folder or class is called; empty for a good picture."""
    caption: str = ""
    """Empty: none."""
    part: Part = ""
    """As the layout says; empty where it has no parts."""
    group: str = ""
    """What it was made from: what shares it stays in one part. The file's stem where nobody said."""
    reading: Reading = Reading()

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.image.stem)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every name it is labelled with, each once; none for a good picture."""
        named = [box.defect for box in self.boxes] or ([self.defect] if self.defect else [])
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set, and what may be done about it."""

    kind: str
    files: tuple[Path, ...]
    sentence: str
    choices: tuple[Choice, ...]
    """The recommended one first."""
    stops: bool = True
    """Whether somebody must choose; a hint needs nobody."""
    instead: str = ""
    """What a mend puts in place: the other class, the caption, the orientation, width and height."""
    renames: str = ""
    """The class that a mend files under `instead`; among the good ones where that is empty."""
