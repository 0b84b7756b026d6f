"""What loaders share: a folder's pictures in order, parts and groups told by names, texts. Knows no layout."""

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipelines.core import files, headers
from pipelines.core.errors import BadInput
from pipelines.parts.loaders.example import Fault, Part

Report = Callable[[Fault], None]

SUFFIXES = frozenset({*headers.SUFFIX.values(), ".jpeg", ".tiff"})
GOOD = frozenset({"good", "ok", "normal", "free", "defect_free", "no_defect"})
"""Folders of pictures that show no defect, in layouts that leave the name open."""
PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
MASK_ENDINGS = ("_mask", "-mask", "_gt", "_label")
TEXT_BYTES = 4_000_000
# A number, or a word for "picture" and a number: it begins anew in every folder and names no part.
COUNTER = re.compile(r"(?:(?:img|image|pic|picture|photo|frame|sample|good|ok|normal|defect)[-_ ]?)?\d{1,6}", re.I)
COPY = re.compile(r"(?:_(?:jpe?g|png|bmp))?\.rf\.[0-9a-f]+$|[-_ ](?:aug|copy|flip|rot)[a-z]*[-_ ]?\d*$", re.I)


def pictures(folder: Path, *, below: bool = False) -> list[Path]:
    """The picture files of a folder by their endings, sorted; hidden ones are left out. None for a missing folder."""
    if not folder.is_dir():
        return []
    found = folder.rglob("*") if below else folder.iterdir()
    wanted = (path for path in found if is_picture(path) and not hidden(path, folder) and not path.is_dir())
    return sorted(path for path in wanted if not _is_sheet(path))


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def hidden(path: Path, root: Path) -> bool:
    return any(name.startswith(".") for name in path.relative_to(root).parts)


def _is_sheet(path: Path) -> bool:
    """Whether it shows what lies in an export of ours, beside its card."""
    return path.name == "sheet.jpg" and (path.parent / "recipe.json").is_file()


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def folder(root: Path, names: Sequence[str]) -> Path | None:
    """The first folder in `root` that is called one of `names`, in whatever case."""
    there = {path.name.lower(): path for path in folders(root)}
    return next((there[name.lower()] for name in names if name.lower() in there), None)


def part(relative: Path) -> Part:
    """train, val or test, as the innermost folder says that is called so."""
    return next((PARTS[name.lower()] for name in reversed(relative.parts[:-1]) if name.lower() in PARTS), "")


def group(path: Path, root: Path) -> str:
    """What a picture belongs to, by its name: without marks of copying; with its folder where it is only a number."""
    stem = COPY.sub("", path.stem) or path.stem
    return path.relative_to(root).with_suffix("").as_posix() if COUNTER.fullmatch(stem) else stem


def sources(root: Path) -> dict[Path, str]:
    """Which good picture each was made from, where an export of ours says so in pairs.csv: its checksum.

    The MVTec tree's table lies beside the product's folder. Somebody else's pairs.csv has other columns, and says
    nothing. Raises BadInput for a table that is none.
    """
    for base in (root, root.parent):
        table = base / "pairs.csv"
        if not table.is_file():
            continue
        found = {}
        try:
            with table.open(encoding="utf-8", errors="replace", newline="") as file:
                rows = csv.DictReader(file)
                if "source_sha256" not in (rows.fieldnames or ()):
                    continue
                for row in rows:
                    for column in ("picture", "good"):
                        found[base / row[column]] = row["source_sha256"]
        except (KeyError, TypeError, ValueError, csv.Error, OSError) as error:
            raise BadInput(
                f"pairs.csv in {base.name} is not as an export writes it ({error}): export again, or remove it"
            ) from error
        return found
    return {}


def place(name: str, base: Path, root: Path) -> Path | None:
    """The file that a label in `base` calls `name`; None where there is none, or the name leads out of `root`."""
    there = Path(os.path.normpath(base / name.replace("\\", "/")))
    try:
        return there if files.inside(root, there.relative_to(root).as_posix()).is_file() else None
    except (BadInput, ValueError, OSError):
        return None


def long_text(path: Path, most: int) -> str:
    """A long text file of labels, which may hold many pictures' or a picture itself. Raises BadInput."""
    size = path.stat().st_size
    if size > most:
        raise BadInput(f"{path.name} has {files.size(size)}, and up to {files.size(most)} are read: divide it")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}): save it as UTF-8"
        ) from error


def holds(path: Path, *words: bytes) -> bool:
    """Whether words stand in the first or last 64 kB of a file. Raises Problem."""
    with files.reading(path, path.name) as file:
        data = file.read(65_536)
        end = file.seek(0, os.SEEK_END)
        if end > 65_536:
            file.seek(max(65_536, end - 65_536))
            data += file.read()
    return all(word in data for word in words)


def named(path: Path, root: Path) -> str:
    """A file as sentences call it: its place below the data set's folder, on one line."""
    text = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def text(path: Path) -> str:
    """A small text file, UTF-8 with or without its mark. Raises BadInput naming size, byte or place."""
    size = path.stat().st_size
    if size > TEXT_BYTES:
        raise BadInput(f"{path.name} has {size} bytes, a label at most {TEXT_BYTES}: it is something else")
    try:
        found = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}): save it as UTF-8"
        ) from error
    if "\0" in found:
        raise BadInput(f"{path.name} holds a NUL at character {found.index(chr(0))}: save it as UTF-8")
    return found


def stem(mask: Path) -> str:
    """The stem of the picture that a mask belongs to."""
    for ending in MASK_ENDINGS:
        if mask.stem.lower().endswith(ending):
            return mask.stem[: -len(ending)]
    return mask.stem


def matched(
    images: Sequence[Path], masks: Sequence[Path], root: Path, report: Report, *, good: bool = False
) -> Iterator[tuple[Path, Path | None]]:
    """Pictures with the masks of their names. What has no partner is reported; a good picture needs no mask."""
    waiting = {stem(mask): mask for mask in masks}
    for image in images:
        mask = waiting.pop(image.stem, None)
        if mask is None and not good:
            report(missing_mask(image, root))
        yield image, mask
    for mask in waiting.values():
        report(mask_without_image(mask, root))


def missing_mask(image: Path, root: Path, label: str = "mask") -> Fault:
    return Fault(
        "missing_mask",
        (image,),
        f"{named(image, root)} has no {label}: add it, leave the picture out, or use it with nothing marked",
        ("leave_out", "use"),
    )


def mask_without_image(mask: Path, root: Path, label: str = "mask") -> Fault:
    return Fault(
        "mask_without_image",
        (mask,),
        f"{named(mask, root)} is the {label} of a picture that is not there: put it back, or leave this out",
        ("leave_out",),
    )


def broken_annotation(path: Path, root: Path, what: str, files: tuple[Path, ...] = ()) -> Fault:
    return Fault(
        "broken_annotation",
        (path, *files),
        f"{named(path, root)} cannot be read ({what}): write it again, or leave its pictures out",
        ("leave_out",),
    )


def label_beyond_names(path: Path, image: Path, root: Path, label: object, names: Sequence[object], left: int) -> Fault:
    """`left` is how many labels of the picture have a name: without any there is nothing to mend with."""
    known = ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
    return Fault(
        "label_beyond_names",
        (path, image),
        f"{named(path, root)} labels class {label}, and the names are {known}: add the name, drop that label (mend),"
        " or leave the picture out",
        ("mend", "leave_out") if left else ("leave_out",),
    )
