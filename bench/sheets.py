"""Contact sheets of every kind of defect on given pictures, for eyes to judge. Not run by the tests.

    python -m bench.sheets OUT_FOLDER [PICTURE[:x,y,size] ...] [--kinds hole dent] [--seeds 2] [--severity 0.6]

A sheet a kind: a row a picture, the clean crop first, then one drawing a seed; or all kinds on one (`--overview`). A
picture without `:x,y,size` is shown whole. Without pictures it takes scikit-image's own (they may be redistributed).
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from pipelines.core import kinds, shapes
from pipelines.parts import boards, defects, lighting, place, sheets

BUNDLED = ("brick", "grass", "gravel", "coins", "camera")
BOARD = {"open", "short", "spur", "mousebite", "pin_hole", "spurious_copper"}
LINES = {"scratch", "crack", "cut", "fold", "burr", "short"}


def painted(kind: str, side: int, seed: int) -> np.ndarray:
    """A mask as a person paints it: mostly an ellipse, for lines every second time a stroke."""
    middle, random = side / 2, np.random.default_rng(seed)
    lean = random.uniform(-0.5, 0.5)
    across, down = 0.26 * side * np.cos(lean), 0.26 * side * np.sin(lean)
    if kind in LINES and seed % 2:
        points = [
            (middle - across, middle - down),
            (middle + 0.06 * side, middle - 0.07 * side),
            (middle + across, middle + down),
        ]
        return shapes.draw("line", (side, side), points, width_px=max(0.03 * side, 3), seed=seed)
    wide, tall = 0.25 * side, 0.19 * side
    points = [(middle - wide, middle - tall), (middle + wide, middle + tall)]
    return shapes.draw("ellipse", (side, side), points, width_px=10, seed=seed)


def at_a_trace(kind: str, crop: np.ndarray, seed: int, optics: lighting.Optics) -> np.ndarray:
    """A mask where the fault belongs on a board: over a trace, over its edge, or over bare board."""
    height, width = crop.shape[:2]
    here = place.find(crop, np.ones((height, width), bool), optics, 0, False)
    copper = boards.tones(here, "auto", "edge").copper
    part = copper if kind in ("open", "pin_hole") else ~copper
    room = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5)
    if kind in ("spur", "mousebite"):
        low, high, ridge = 0.003, 0.012, np.inf  # along the edge
    else:
        low, high = {"open": (0.015, 0.05), "pin_hole": (0.05, 0.5)}.get(kind, (0.03, 0.09))
        ridge = 0.5  # on the middle line
    middle = (room > low * width) & (room < high * width) & (cv2.dilate(room, np.ones((5, 5))) <= room + ridge)
    middle[: height // 5] = middle[-height // 5 :] = False
    middle[:, : width // 5] = middle[:, -width // 5 :] = False
    ys, xs = np.nonzero(middle)
    if len(xs) == 0:
        return painted(kind, width, seed)
    at = int(np.random.default_rng(seed).integers(len(xs)))
    reach = 1.7 * room[ys[at], xs[at]] + 4 if kind in ("open", "short") else max(room[ys[at], xs[at]], 0.06 * width)
    x, y = float(xs[at]), float(ys[at])
    points = [(x - reach, y - reach), (x + reach, y + reach)]
    return shapes.draw("ellipse", (height, width), points, width_px=1, seed=0)


def load(name: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """(whole picture, crop to show, grey), float32 RGB."""
    path, _, window = name.partition(":")
    found = getattr(data, path)() if path in BUNDLED else cv2.imread(path, cv2.IMREAD_COLOR)
    if found is None:
        raise SystemExit(f"cannot read {path}; give a picture file, or one of {', '.join(BUNDLED)}")
    if found.ndim == 2:
        found = np.repeat(found[..., None], 3, -1)
    elif path not in BUNDLED:
        found = found[..., ::-1]
    whole = np.ascontiguousarray(found.astype(np.float32) / 255)
    crop = whole
    if window:
        x, y, size = (int(part) for part in window.split(","))
        crop = whole[y : y + size, x : x + size]
    else:
        size = min(crop.shape[:2])
        crop = crop[:size, :size]
    return whole, np.ascontiguousarray(crop), bool(np.ptp(whole, axis=-1).max() < 0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", nargs="*", default=list(BUNDLED))
    parser.add_argument("--kinds", nargs="*", default=list(kinds.load()))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--side", type=int, default=300)
    parser.add_argument("--severity", type=float, default=0.6)
    parser.add_argument(
        "--board", action="store_true", help="the pictures are boards: paint their faults at the traces"
    )
    parser.add_argument("--labels", action="store_true", help="show the label beside each drawing")
    parser.add_argument(
        "--overview", action="store_true", help="one sheet, overview.jpg: a kind a row, a picture a column"
    )
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    loaded = [load(name) for name in asked.pictures]
    measured = [lighting.estimate(whole) for whole, _, _ in loaded]
    if asked.overview:
        sheet = overview(asked, loaded, measured)
        cv2.imwrite(str(asked.out / "overview.jpg"), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        return
    for kind in asked.kinds:
        rows = []
        spent = 0.0
        for (_, crop, grey), optics in zip(loaded, measured, strict=True):
            row = [crop]
            for seed in range(asked.first, asked.first + asked.seeds):
                on_board = kind in BOARD and asked.board
                mask = at_a_trace(kind, crop, seed, optics) if on_board else painted(kind, crop.shape[0], seed)
                start = time.process_time()
                drawing = defects.draw(crop, mask, kind, severity=asked.severity, seed=seed, grey=grey, optics=optics)
                spent = max(spent, time.process_time() - start)
                row.append(drawing.image)
                if asked.labels:
                    row.append(np.repeat(drawing.mask[..., None], 3, -1).astype(np.float32))
            rows.append([_cell(cell, asked.side) for cell in row])
        seeds = [str(seed) for seed in range(asked.first, asked.first + asked.seeds)]
        heads = ["clean", *(head for seed in seeds for head in ([seed, "label"] if asked.labels else [seed]))]
        name = asked.out / f"{kind}.png"
        sheet = sheets.grid(rows, [Path(picture).name for picture in asked.pictures], heads, asked.side)
        cv2.imwrite(str(name), sheet[..., ::-1])
        print(f"{name}  slowest {spent * 1000:.0f} ms of CPU")


def overview(
    asked: argparse.Namespace, loaded: list[tuple[np.ndarray, np.ndarray, bool]], measured: list[lighting.Optics]
) -> np.ndarray:
    """Every kind once on every picture, in two halves side by side, each row beside its name."""
    rows = []
    for number, kind in enumerate(asked.kinds):
        seed, cells = asked.first + number, []
        for (_, crop, grey), optics in zip(loaded, measured, strict=True):
            on_board = kind in BOARD and asked.board
            mask = at_a_trace(kind, crop, seed, optics) if on_board else painted(kind, crop.shape[0], seed)
            drawing = defects.draw(crop, mask, kind, severity=asked.severity, seed=seed, grey=grey, optics=optics)
            cells.append(_cell(drawing.image, asked.side))
        rows.append(cells)
    names = [kinds.get(kind).label for kind in asked.kinds]
    half = (len(rows) + 1) // 2
    rows += [[np.full_like(cell, 255) for cell in rows[0]]] * (2 * half - len(rows))
    names += [""] * (2 * half - len(names))
    heads = [""] * len(rows[0])
    return np.hstack([sheets.grid(rows[at : at + half], names[at : at + half], heads, asked.side) for at in (0, half)])


def _cell(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8, small crops enlarged too: they are there to be looked at closely."""
    how = cv2.INTER_CUBIC if picture.shape[0] < side else cv2.INTER_AREA
    shown = np.clip(cv2.resize(picture, (side, side), interpolation=how), 0, 1)
    return (shown * 255 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    main()
