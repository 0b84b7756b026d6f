"""Small data sets of every layout, made here, and the thirty faults that can be planted in them, one at a time."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipelines.core import images
from tests import pictures

HEIGHT, WIDTH = 96, 128


def part(seed: int, *, at: tuple[int, int] | None = None) -> np.ndarray:
    """A part in one fixture and one light, as every other; `at` is where it has a dark spot."""
    pixels = pictures.good(HEIGHT, WIDTH, seed=seed)
    if at:
        pixels[spot(at)] //= 3
    return pixels


def spot(at: tuple[int, int]) -> np.ndarray:
    return pictures.disc(HEIGHT, WIDTH, radius=9, at=at)


def place(number: int) -> tuple[int, int]:
    return 25 + 13 * number, 30 + 7 * number


def put(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, pixels)
    return path


def mvtec(root: Path) -> None:
    for number in range(6):
        put(root / f"train/good/{number:03}.png", part(number))
    for number in range(3):
        put(root / f"test/good/{number:03}.png", part(10 + number))
    for shift, kind in ((20, "crack"), (30, "hole")):
        for number in range(4):
            put(root / f"test/{kind}/{number:03}.png", part(shift + number, at=place(number)))
            put(root / f"ground_truth/{kind}/{number:03}_mask.png", spot(place(number)))


def xml(*boxes: tuple[str, int, int, int, int]) -> str:
    edges = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, values, strict=True))
        + "</bndbox></object>"
        for name, *values in boxes
    )
    return f"<annotation>{objects}</annotation>"


def voc(root: Path) -> None:
    (root / "Annotations").mkdir(parents=True)
    for number in range(6):
        x, y = place(number)
        put(root / f"JPEGImages/part_{number}.png", part(number, at=(x, y)))
        kind = ("scratch", "dent")[number % 2]
        (root / f"Annotations/part_{number}.xml").write_text(xml((kind, x - 8, y - 8, x + 10, y + 10)))


def yolo(root: Path) -> None:
    for number in range(6):
        x, y = place(number)
        where = "train" if number < 4 else "val"
        put(root / f"images/{where}/part_{number}.png", part(number, at=(x, y)))
        label = root / f"labels/{where}/part_{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        box = (x + 0.5) / WIDTH, (y + 0.5) / HEIGHT, 19 / WIDTH, 19 / HEIGHT
        label.write_text(" ".join(map(str, (number % 2, *box))) + "\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 2\nnames: [scratch, 'dent']\n")


def coco(root: Path) -> None:
    entries, labels = [], []
    for number in range(4):
        x, y = place(number)
        put(root / f"images/part_{number}.png", part(number, at=(x, y)))
        entries.append({"id": number, "file_name": f"part_{number}.png", "width": WIDTH, "height": HEIGHT})
        labels.append({"id": number, "image_id": number, "category_id": 1, "bbox": [x - 9, y - 9, 19, 19]})
    (root / "annotations").mkdir()
    table = {"images": entries, "annotations": labels, "categories": [{"id": 1, "name": "dent"}]}
    (root / "annotations/instances_train.json").write_text(json.dumps(table))


def captioned(root: Path) -> None:
    for number in range(5):
        put(root / f"steel_plate/_raw/scratched/part_{number}.png", part(number))
    (root / "steel_plate/_raw/scratched/part_0.cap").write_text("# seen on Monday\n\na plate with a scratch\n")


def numbered(root: Path) -> None:
    """Masks of class numbers."""
    for number in range(6):
        put(root / f"images/train/{number:03}.png", part(number, at=place(number)))
        put(root / f"masks/train/{number:03}.png", spot(place(number)).astype(np.uint8) * (1 + number % 3))


SETS: dict[str, Callable[[Path], None]] = {
    "mvtec": mvtec,
    "voc": voc,
    "yolo": yolo,
    "coco": coco,
    "captioned": captioned,
    "paired": numbered,
}

IMAGE, MASK = "test/crack/001.png", "ground_truth/crack/001_mask.png"


def mask() -> np.ndarray:
    """uint8, of IMAGE."""
    return spot(place(1)).astype(np.uint8) * 255


def saved(path: Path, pixels: np.ndarray, format: str, mode: str | None = None, turned: int = 1) -> None:
    """By Pillow, which writes palettes and EXIF."""
    buffer = io.BytesIO()
    block = Image.Exif()
    block[274] = turned
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(buffer, format, **({"exif": block} if turned != 1 else {}))
    path.write_bytes(buffer.getvalue())


def red(pixels: np.ndarray) -> np.ndarray:
    colours = np.zeros((*pixels.shape, 3), np.uint8)
    colours[pixels > 0] = (200, 0, 0)
    return colours


def _typo(root: Path) -> None:
    for tree, name in (("test", "003.png"), ("ground_truth", "003_mask.png")):
        (root / tree / "crakc").mkdir()
        (root / tree / "crack" / name).rename(root / tree / "crakc" / name)


def _one_image(root: Path) -> None:
    for number in range(1, 4):
        (root / f"test/hole/{number:03}.png").unlink()
        (root / f"ground_truth/hole/{number:03}_mask.png").unlink()


def _clash(root: Path) -> None:
    put(root / "train/good/Spare.png", part(50))
    put(root / "train/good/spare.png", part(51))


def _write(name: str, text: str | bytes) -> Callable[[Path], object]:
    data = text.encode() if isinstance(text, str) else text
    return lambda root: (root / name).write_bytes(data)


def _again(root: Path) -> None:
    """The first picture to train on, as a JPEG that is a little brighter."""
    bright = cv2.convertScaleAbs(part(0), alpha=1.08, beta=4)
    cv2.imwrite(str(root / "test/good/009.jpg"), bright[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def _half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _beyond(root: Path) -> None:
    pixels = spot(place(2)).astype(np.uint8) * 3
    pixels[2:9, 2:9] = 9
    put(root / "masks/train/002.png", pixels)


def _by_name(root: Path) -> None:
    put(root / "train/good/SN-4711.png", part(60))
    put(root / "test/good/SN-4711.png", part(61))


# The fault, the set it is planted in, and how. One for each of the thirty, several where there are several ways.
PLANTS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("missing_mask", "mvtec", lambda root: (root / MASK).unlink()),
    ("missing_mask", "yolo", lambda root: (root / "labels/train/part_1.txt").unlink()),
    ("mask_without_image", "mvtec", lambda root: (root / IMAGE).unlink()),
    ("mask_without_image", "voc", lambda root: (root / "JPEGImages/part_1.png").unlink()),
    ("mask_without_image", "coco", lambda root: (root / "images/part_1.png").unlink()),
    ("size_mismatch", "mvtec", lambda root: put(root / MASK, mask()[::2, ::2])),
    ("size_mismatch", "mvtec", lambda root: put(root / MASK, mask()[:, :-10])),
    ("empty_mask", "mvtec", lambda root: put(root / MASK, mask() * 0)),
    ("empty_mask", "mvtec", lambda root: put(root / MASK, mask() // 255)),
    ("full_mask", "mvtec", lambda root: put(root / MASK, mask() | 255)),
    ("inverted_mask", "mvtec", lambda root: put(root / MASK, 255 - mask())),
    ("soft_edged_mask", "mvtec", lambda root: put(root / MASK, cv2.GaussianBlur(mask(), (0, 0), 2))),
    ("palette_mask", "mvtec", lambda root: saved(root / MASK, mask(), "PNG", "P")),
    ("palette_mask", "mvtec", lambda root: saved(root / MASK, red(mask()), "PNG", "P")),
    ("rgb_mask", "mvtec", lambda root: saved(root / MASK, mask(), "PNG", "RGB")),
    ("rgb_mask", "mvtec", lambda root: saved(root / MASK, red(mask()), "PNG")),
    ("mask_value_beyond_classes", "paired", _beyond),
    ("truncated_image", "mvtec", lambda root: _half(root / IMAGE)),
    ("truncated_image", "mvtec", lambda root: _half(root / MASK)),
    ("empty_file", "mvtec", _write(IMAGE, b"")),
    ("empty_file", "mvtec", _write(MASK, b"")),
    ("wrong_extension", "mvtec", lambda root: saved(root / IMAGE, part(21, at=place(1)), "BMP")),
    ("mixed_bit_depth", "mvtec", lambda root: put(root / IMAGE, part(21, at=place(1)).astype(np.uint16) * 257)),
    ("mixed_colour", "mvtec", lambda root: put(root / IMAGE, part(21, at=place(1))[..., 0])),
    ("mixed_colour", "mvtec", lambda root: put(root / IMAGE, part(21, at=place(1))[..., [0, 0, 0]])),
    ("exif_rotated", "mvtec", lambda root: saved(root / IMAGE, part(21, at=place(1)), "PNG", turned=6)),
    ("exif_rotated", "mvtec", lambda root: saved(root / IMAGE, part(21, at=place(1)), "PNG", turned=3)),
    ("duplicate", "mvtec", lambda root: put(root / "train/good/009.png", part(2))),
    ("duplicate", "mvtec", lambda root: put(root / "test/good/009.png", part(2))),
    ("near_duplicate_across_splits", "mvtec", _again),
    ("same_part_in_train_and_test", "mvtec", lambda root: put(root / "test/good/009.png", part(3)[:, ::-1])),
    ("same_part_in_train_and_test", "mvtec", lambda root: put(root / "test/good/009.png", np.rot90(part(3)))),
    ("same_part_in_train_and_test", "mvtec", lambda root: put(root / "test/good/009.png", np.roll(part(3), 4, 1))),
    ("same_part_in_train_and_test", "mvtec", _by_name),
    ("defect_in_good", "mvtec", lambda root: put(root / "train/good/009.png", part(21, at=place(1)))),
    ("defect_in_good", "mvtec", lambda root: put(root / "test/good/009.png", part(21, at=place(1)) + np.uint8(3))),
    ("defect_in_good", "mvtec", lambda root: put(root / "ground_truth/good/001_mask.png", mask())),
    ("class_typo", "mvtec", _typo),
    ("class_typo", "voc", _write("Annotations/part_0.xml", xml(("scrathc", 18, 23, 36, 41)))),
    ("class_with_one_image", "mvtec", _one_image),
    ("box_outside", "voc", _write("Annotations/part_0.xml", xml(("scratch", 100, 20, 140, 40)))),
    ("box_outside", "yolo", _write("labels/train/part_0.txt", "0 0.95 0.5 0.3 0.2\n")),
    ("empty_box", "voc", _write("Annotations/part_0.xml", xml(("scratch", 20, 20, 20, 40)))),
    ("empty_box", "yolo", _write("labels/train/part_0.txt", "0 0.5 0.5 0 0.2\n")),
    ("label_beyond_names", "yolo", _write("labels/train/part_0.txt", "0 0.2 0.3 0.1 0.1\n7 0.5 0.5 0.2 0.2\n")),
    ("broken_annotation", "voc", _write("Annotations/part_0.xml", "<annotation><object>")),
    ("broken_annotation", "yolo", _write("labels/train/part_0.txt", "0 0.5 half 0.2 0.2\n")),
    ("broken_annotation", "coco", _write("annotations/instances_train.json", '{"images": [')),
    ("caption_not_utf8", "captioned", _write("steel_plate/_raw/scratched/part_1.cap", "ein Riß".encode("latin-1"))),
    ("caption_not_utf8", "captioned", _write("steel_plate/_raw/scratched/part_1.txt", "a dent".encode("utf-16"))),
    ("caption_not_utf8", "captioned", _write("steel_plate/_raw/scratched/part_1.cap", "a\0dent")),
    ("empty_caption", "captioned", _write("steel_plate/_raw/scratched/part_1.cap", "# nothing yet\n\n")),
    ("names_clash_by_case", "mvtec", _clash),
    ("unreadable", "mvtec", _write(IMAGE, "a picture of a part\n")),
    ("unreadable", "mvtec", _write(MASK, "%PDF-1.7\n")),
)
