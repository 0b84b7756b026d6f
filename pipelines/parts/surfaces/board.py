"""A printed circuit board: what is laid out on it, then what it is made of. Tracks never touch by chance."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core.noise import blur
from pipelines.parts.surfaces.sheet import Material, Sheet, hsv, over, plain

LAYOUT = 384  # cells a side of the grid on which tracks are kept apart
Points = Sequence[tuple[float, float]] | np.ndarray

# letters as a board's plotter draws them, in units of half their height
STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "R": [[(0, 2), (0, 0), (1, 0), (1, 1), (0, 1), (1, 2)]],
    "C": [[(1, 0), (0, 0), (0, 2), (1, 2)]],
    "U": [[(0, 0), (0, 2), (1, 2), (1, 0)]],
    "1": [[(0.5, 0), (0.5, 2)]],
    "2": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]],
    "4": [[(0, 0), (0, 1), (1, 1)], [(1, 0), (1, 2)]],
    "7": [[(0, 0), (1, 0), (0.3, 2)]],
}


def board(sheet: Sheet) -> Material:
    """A printed circuit: buses of tracks under solder mask, vias, rows of pads, white legend."""
    r = sheet.random
    mask_colour = hsv(r.uniform(0.36, 0.44), r.uniform(0.7, 0.92), r.uniform(0.24, 0.4))
    other = r.random()
    if other > 0.7:
        mask_colour = [hsv(0.6, 0.8, 0.32), hsv(0.0, 0.75, 0.4), hsv(0.3, 0.1, 0.09)][int((other - 0.7) * 9.99)]
    plan = Plan(r, sheet.width / sheet.side, sheet.height / sheet.side)
    copper, pads, holes, legend = (plan.cover(sheet, layer) for layer in ("copper", "pads", "holes", "legend"))
    opening = plan.cover(sheet, "openings")
    glass = sheet.noise("weave-x", 0.012, octaves=1, aniso=30) + sheet.noise(
        "weave-y", 0.012, octaves=1, aniso=30, angle=math.pi / 2
    )
    cloud = sheet.noise("cloud", 0.3, octaves=4)
    under = 0.84 + 0.02 * glass + 0.03 * cloud
    if r.random() < 0.5:  # the rest of the layer is left as ground, kept clear of everything else
        clear = 2 * round(0.4 * plan.pitch * sheet.side) + 1
        near = cv2.dilate(np.maximum(copper, opening), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (clear, clear)))
        copper = np.maximum(copper, 1 - near)
    soft = blur(np.maximum(copper, pads), 0.0012 * sheet.side)
    albedo = plain(under + 0.42 * soft, mask_colour) + (0.03 * soft)[..., None]
    gold = bool(r.random() < 0.45)
    metal = hsv(0.115, 0.48, 0.8) if gold else np.array([0.72, 0.73, 0.74], np.float32)
    laminate = hsv(0.12, 0.4, 0.45)
    albedo = over(albedo, laminate * under[..., None], np.clip(opening - pads, 0, 1))
    grain = sheet.noise("solder", 0.012, octaves=4, gain=0.6)
    albedo = over(albedo, plain(0.92 + 0.06 * grain, metal), pads)
    ink = np.clip(0.9 + 0.12 * sheet.noise("ink", 0.006, octaves=2), 0, 1)
    albedo = over(albedo, np.array([0.82, 0.83, 0.8], np.float32), legend * ink * (1 - opening))
    albedo = albedo * (1 - 0.93 * holes)[..., None]
    bulge = blur(pads, 0.003 * sheet.side) * pads
    relief = 1.3 * soft + (0.4 + (0 if gold else 0.9)) * bulge - 0.5 * opening + 0.3 * legend - 4 * holes + 0.05 * glass
    gloss = 0.22 + 0.35 * pads - 0.2 * holes
    return Material("printed circuit board", albedo, relief, gloss, r.uniform(25, 60), softness=0.9)


class Plan:
    """Where the tracks of a board run, as shapes in shares of the side; a coarse grid keeps them from touching."""

    def __init__(self, random: np.random.Generator, width: float, height: float) -> None:
        self.random, self.width, self.height = random, width, height
        self.pitch = float(random.uniform(0.016, 0.026))
        self.taken = np.zeros((math.ceil(height * LAYOUT), math.ceil(width * LAYOUT)), np.uint8)
        self.layers: dict[str, list[tuple[str, Points, float]]] = {
            name: [] for name in ("copper", "pads", "holes", "legend", "openings")
        }
        for _ in range(random.integers(4, 9)):
            self._chip()
        for _ in range(random.integers(6, 16)):
            self._parts()
        for tries, longest in ((120, 0.4), (160, 0.2), (160, 0.09)):  # long ones while there is room, then short ones
            for _ in range(tries):
                self._bus(longest)

    def cover(self, sheet: Sheet, layer: str) -> np.ndarray:
        """A layer's coverage of each pixel, drawn at twice the size."""
        scale = 2 * sheet.side
        canvas = np.zeros((2 * sheet.height, 2 * sheet.width), np.uint8)
        for kind, points, size in self.layers[layer]:
            at = np.round(np.asarray(points) * scale * 16).astype(np.int32)
            if kind == "line":
                cv2.polylines(canvas, [at[:, None]], False, 255, max(1, round(size * scale)), cv2.LINE_AA, 4)
            elif kind == "dot":
                cv2.circle(canvas, (int(at[0, 0]), int(at[0, 1])), round(size * scale * 16), 255, -1, cv2.LINE_AA, 4)
            else:
                cv2.fillPoly(canvas, [at[:, None]], 255, cv2.LINE_AA, 4)
        small = cv2.resize(canvas, (sheet.width, sheet.height), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255

    def _free(self, shape: np.ndarray) -> bool:
        """Whether the drawn cells touch nothing; if so they are taken."""
        if bool((self.taken & shape).any()):
            return False
        self.taken |= shape
        return True

    def _drawn(self, points: np.ndarray, width: float) -> np.ndarray:
        canvas = np.zeros_like(self.taken)
        at = np.round(points * LAYOUT * 16).astype(np.int32)[:, None]
        cv2.polylines(canvas, [at], False, 1, max(1, math.ceil(width * LAYOUT)), cv2.LINE_8, 4)
        return canvas

    def _pad(self, x: float, y: float, w: float, h: float) -> None:
        for layer, grow in (("pads", 0.0), ("openings", 0.0022)):
            a, b = w / 2 + grow, h / 2 + grow
            self.layers[layer].append(("area", [(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)], 0))

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        canvas = np.zeros_like(self.taken)
        left, top, right, bottom = (round(v * LAYOUT) for v in (x0, y0, x1, y1))
        cv2.rectangle(canvas, (left, top), (right, bottom), 1, -1)
        return self._free(canvas)

    def _chip(self) -> None:
        """Two rows of pads for a chip, its outline, short tracks that leave it and end in vias."""
        r, count = self.random, int(self.random.integers(4, 9))
        step, length = self.pitch * 1.35, self.pitch * 2.2
        half, tall = count * step / 2, self.pitch * r.uniform(2.5, 4)
        flat = bool(r.random() < 0.5)
        x, y = r.uniform(0, self.width), r.uniform(0, self.height)

        def place(u: float, v: float) -> tuple[float, float]:
            return (x + u, y + v) if flat else (x + v, y + u)

        reach = tall + 2.2 * length
        a, b = place(-half - step, -reach), place(half + step, reach)
        if not self._box(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])):
            return
        for side in (-1, 1):
            for k in range(count):
                u = (k - (count - 1) / 2) * step
                size = (step * 0.55, length) if flat else (length, step * 0.55)
                self._pad(*place(u, side * (tall + length / 2)), *size)
                end = place(u, side * (tall + 1.5 * length + (k % 2) * length * 0.45))
                self.layers["copper"].append(("line", [place(u, side * (tall + length / 2)), end], self.pitch * 0.34))
                self._via(*end)
        corners = [
            place(-half, -tall * 0.8),
            place(half, -tall * 0.8),
            place(half, tall * 0.8),
            place(-half, tall * 0.8),
        ]
        self.layers["legend"].append(("line", [*corners, corners[0]], 0.003))
        self.layers["legend"].append(("dot", [place(-half + step * 0.7, tall * 0.45)], 0.005))
        self._word(x - half * 0.6 if flat else x - tall * 0.5, y, self.pitch * 0.9)

    def _parts(self) -> None:
        """A row of two-pad parts with outlines and a name."""
        r, w = self.random, self.pitch * 1.5
        x, y, count = r.uniform(0, self.width), r.uniform(0, self.height), int(r.integers(1, 5))
        if not self._box(x - w, y - 2.6 * w, x + (count - 1) * 2.1 * w + w, y + 1.9 * w):
            return
        for k in range(count):
            at = x + k * 2.1 * w
            for side in (-1, 1):
                self._pad(at, y + side * w * 0.85, w, w * 0.85)
            frame = [
                (at - 0.8 * w, y - 1.6 * w),
                (at + 0.8 * w, y - 1.6 * w),
                (at + 0.8 * w, y + 1.6 * w),
                (at - 0.8 * w, y + 1.6 * w),
            ]
            self.layers["legend"].append(("line", [*frame, frame[0]], 0.0025))
            self._word(at - 0.7 * w, y - 2.4 * w, w * 0.55)

    def _word(self, x: float, y: float, size: float) -> None:
        """A letter and digits in the legend, drawn with the plotter font of boards."""
        r = self.random
        word = [
            str(r.choice(["R", "C", "U"])),
            *(str(c) for c in r.choice(["1", "2", "4", "7"], int(r.integers(1, 3)))),
        ]
        for k, letter in enumerate(word):
            for stroke in STROKES[letter]:
                points = [(x + (k * 1.5 + u) * size * 0.5, y + v * size * 0.5) for u, v in stroke]
                self.layers["legend"].append(("line", points, 0.0026))

    def _via(self, x: float, y: float) -> None:
        radius = self.pitch * 0.42
        self.layers["pads"].append(("dot", [(x, y)], radius))
        self.layers["openings"].append(("dot", [(x, y)], radius + 0.0016))
        self.layers["holes"].append(("dot", [(x, y)], radius * 0.52))

    def _bus(self, longest: float) -> None:
        """Parallel tracks that turn by 45 degrees together; drawn only where all of them are free."""
        r, count = self.random, int(self.random.choice([1, 2, 3, 4, 6, 8], p=[0.25, 0.2, 0.2, 0.15, 0.1, 0.1]))
        thin = self.pitch * (0.34 if count > 1 else r.choice([0.34, 0.5, 1.0]))
        heading = int(r.integers(0, 8))
        points = [np.array([r.uniform(0, self.width), r.uniform(0, self.height)])]
        headings = []
        for _ in range(int(r.integers(2, 5))):
            way = heading * math.pi / 4
            points.append(points[-1] + longest * r.uniform(0.25, 1) * np.array([math.cos(way), math.sin(way)]))
            headings.append(way)
            heading += int(r.choice([-1, 1]))
        middle = np.array(points)
        if not self._free(self._drawn(middle, (count + 0.9) * self.pitch)):
            return
        for k in range(count):
            track = _beside(middle, headings, (k - (count - 1) / 2) * self.pitch)
            self.layers["copper"].append(("line", track, thin))
            for end in (track[0], track[-1]):
                self._via(float(end[0]), float(end[1]))


def _beside(points: np.ndarray, headings: list[float], offset: float) -> np.ndarray:
    """A polyline beside another one, its corners mitred so that the gap stays the same."""
    track = []
    for k, point in enumerate(points):
        before, after = headings[max(k - 1, 0)], headings[min(k, len(headings) - 1)]
        middle = (before + after) / 2
        reach = offset / math.cos((after - before) / 2)
        track.append(point + reach * np.array([-math.sin(middle), math.cos(middle)]))
    return np.array(track)
