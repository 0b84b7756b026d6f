"""YOLO: a text file of boxes or polygons for each picture, in shares of its sides, and a list of names.

data.yaml is read without a YAML reader: of all it may say, only `names` is needed, in the three forms it is written in.
"""

import re
from collections.abc import Iterator
from math import ceil, floor
from pathlib import Path

from pipelines.core import files, headers, layouts
from pipelines.core.errors import BadInput, Problem
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

LISTS = ("classes.txt", "obj.names", "classes.names")
ITEM = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,#\]}]*)\s*""")
KEYED = re.compile(r"""(\d+)\s*:\s*(.*)""")


def fits(root: Path) -> bool:
    return _listed(root) is not None and any(_label(image) is not None for image in _pictures(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """The text file lies beside the picture, or in `labels` where the picture lies in `images`; empty: a good one."""
    listed = _listed(root)
    names = _names(listed) if listed is not None else {}
    images = _pictures(root)
    waiting = {path for image in images for path in _folder(image).glob("*.txt") if not _other(path)}
    for image in images:
        relative = image.relative_to(root)
        label = _label(image)
        boxes: tuple[Box, ...] = ()
        if label is None:
            report(tree.missing_mask(image, root, "label file"))
        else:
            waiting.discard(label)
            try:
                boxes, beyond = _boxes(tree.text(label), _size(image), names)
            except (BadInput, ValueError, OverflowError, OSError) as error:
                report(tree.broken_annotation(label, root, str(error), (image,)))
            else:
                for number in sorted(beyond):
                    known = [f"{key} {name}" for key, name in names.items()]
                    report(tree.label_beyond_names(label, image, root, number, known, len(boxes)))
        kinds = tuple(dict.fromkeys(box.defect for box in boxes))
        group = tree.group(image, root)
        defect = layouts.shown(kinds) if kinds else ""
        yield Example(image, boxes=boxes, defect=defect, part=tree.part(relative), group=group)
    for path in sorted(waiting):
        report(tree.mask_without_image(path, root, "label file"))


def read_names(text: str) -> dict[int, str]:
    """The `names` of a data.yaml: a list in brackets or of dashes, or a map from numbers. Raises ValueError."""
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise ValueError("it has no names")
    rest = lines[start].partition(":")[2].strip()
    if rest and not rest.startswith("#"):
        flow = "\n".join([rest, *lines[start + 1 :]])
        if flow[0] not in "[{":
            raise ValueError(f"names is {rest[:40]!r}, not a list of names")
        return _flow(flow)
    found: dict[int, str] = {}
    for line in lines[start + 1 :]:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if bare.startswith("- "):
            found[len(found)] = _scalar(bare[2:])
        elif line[:1].isspace() and (match := KEYED.match(bare)):
            found[int(match[1])] = _scalar(match[2])
        else:
            break
    if not found:
        raise ValueError("its names are empty")
    return found


def _flow(text: str) -> dict[int, str]:
    """[a, 'b'] or {0: a, 1: "b"}, over as many lines as it takes."""
    close = "]" if text[0] == "[" else "}"
    found: dict[int, str] = {}
    place = 1
    while place < len(text):
        match = ITEM.match(text, place)
        assert match is not None  # it matches nothing, too
        place = match.end()
        item, sign = match[1].strip(), text[place : place + 1]
        keyed = KEYED.match(item)
        if close == "}" and keyed and not keyed[2] and sign in "\"'":
            continue
        if item:
            number, word = (int(keyed[1]), keyed[2]) if close == "}" and keyed else (len(found), item)
            found[number] = _scalar(word)
        if sign == close:
            return found
        place += 1
    raise ValueError(f"its names have no {close} at the end")


def _scalar(text: str) -> str:
    match = ITEM.match(text.strip())
    word = match[1].strip() if match else ""
    if word[:1] in "\"'" and word[-1:] == word[:1] and len(word) > 1:
        quote, word = word[0], word[1:-1]
        return word.replace("''", "'") if quote == "'" else word.replace('\\"', '"').replace("\\\\", "\\")
    return word


def _listed(root: Path) -> Path | None:
    """The file that lists the names: data.yaml or another YAML with `names`, else a text file, one name a line."""
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda path: path.name != "data.yaml"):
        try:
            if re.search(r"^names\s*:", tree.text(path), re.MULTILINE):
                return path
        except (BadInput, OSError):  # some other YAML, or a broken one: the label files tell
            continue
    return next((root / name for name in LISTS if (root / name).is_file()), None)


def _names(path: Path) -> dict[int, str]:
    """Raises BadInput."""
    try:
        if path.suffix in (".yaml", ".yml"):
            return read_names(tree.text(path))
        lines = [line.strip() for line in tree.text(path).splitlines()]
        return dict(enumerate(line for line in lines if line))
    except ValueError as error:
        raise BadInput(f"{path.name} does not say what the classes are called: {error}; write names: [a, b]") from error


def _pictures(root: Path) -> list[Path]:
    return tree.pictures(root, below=True)


def _folder(image: Path) -> Path:
    """Where the label of a picture lies: the last folder called images stands for one called labels."""
    names = list(image.parent.parts)
    for place in range(len(names) - 1, -1, -1):
        if names[place].lower() == "images":
            for other in ("labels", "Labels", "Annotations"):
                folder = Path(*names[:place], other, *names[place + 1 :])
                if folder.is_dir():
                    return folder
            break
    return image.parent


def _label(image: Path) -> Path | None:
    path = _folder(image) / f"{image.stem}.txt"
    return path if path.is_file() else None


def _other(path: Path) -> bool:
    return path.name in (*LISTS, "train.txt", "val.txt", "test.txt", "README.txt", "readme.txt")


def _size(image: Path) -> tuple[int, int]:
    """Width and height; (1, 1) for what is no picture, of which the pre-flight speaks."""
    try:
        with files.reading(image, image.name) as file:
            header = headers.read(file, image.name)
    except Problem:
        return 1, 1
    return header.width, header.height


def _boxes(text: str, size: tuple[int, int], names: dict[int, str]) -> tuple[tuple[Box, ...], set[int]]:
    """`class x_centre y_centre width height`, or `class x1 y1 x2 y2 x3 y3 ...`; and the classes without a name."""
    found, beyond = [], set()
    width, height = size
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        values = [float(word) for word in words]
        kind = int(values[0])
        if kind != values[0] or len(values) < 5 or (len(values) > 5 and (len(values) < 7 or len(values) % 2 == 0)):
            raise ValueError(f"line {number} is {line.strip()[:40]!r}, neither a box nor a polygon")
        if not all(abs(value) < 1e6 for value in values):
            raise ValueError(f"line {number} holds {line.strip()[:40]!r}, no shares of a picture")
        if kind not in names:
            beyond.add(kind)
            continue
        outline: tuple[tuple[float, float], ...] = ()
        if len(values) == 5:
            x, y, w, h = values[1:]
            edges = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
        else:
            outline = tuple((x * width, y * height) for x, y in zip(values[1::2], values[2::2], strict=True))
            columns, rows = zip(*outline, strict=True)
            edges = min(columns), min(rows), max(columns), max(rows)
        left, top, right, bottom = map(round, edges)
        if outline:
            left, top, right, bottom = floor(edges[0]), floor(edges[1]), ceil(edges[2]), ceil(edges[3])
        found.append(Box(left, top, right, bottom, names[kind], outline))
    return tuple(found), beyond
