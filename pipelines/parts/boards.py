"""Painters of faults of printed boards: they swap conductor and board in the picture's two tones.

A painter takes a place and the values of its kind's parameters and returns a layer; it never touches pixels of the
picture.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import WHITE, Layer
from pipelines.parts.lines import Canvas, Values
from pipelines.parts.place import Place

TWO_TONES = 0.82  # share of the variance two tones must explain to be two; of a cloud of tones they explain 0.64


@dataclass(frozen=True)
class Tones:
    """Where the conductor runs, and both colours as float32 HxWx3 fields that keep the picture's own light."""

    copper: np.ndarray  # bool HxW
    metal: np.ndarray
    board: np.ndarray
    found: bool  # False where the picture has no two tones: then all is board-to-be-changed and the tones are made up


def tones(place: Place, asked: str, wanted: str) -> Tones:
    """Split the place into conductor and board.

    `asked` is auto, dark or bright; `wanted` is what such a fault is painted over: copper, board or edge.
    """
    grey = lighting.luminance(place.picture)
    # Under the mask first: a board may have three tones, and the two that matter are those painted over.
    level = _between(grey[place.mask]) or _between(grey.ravel())
    if level is None:
        copper = np.full(place.shape, wanted != "board")
        base = place.base
        tone = float(lighting.luminance(base)[place.mask].mean())
        paler = asked == "bright" or (asked == "auto" and tone < 0.7)
        metal = np.clip(base * 1.35 + 0.05, 0, max(place.optics.bright, WHITE)) if paler else base * 0.6
        bare = base * 0.5 if tone > 0.12 else base + 0.15
        return Tones(copper, metal.astype(np.float32), bare.astype(np.float32), False)
    bright = grey > level
    if asked == "auto":
        dark_is_copper = _dark_is_copper(place, bright, wanted)
    else:
        dark_is_copper = asked == "dark"
    copper = ~bright if dark_is_copper else bright
    return Tones(copper, _fill(place, copper), _fill(place, ~copper), True)


def _between(grey: np.ndarray) -> float | None:
    """The level between two tones (Otsu 1979), or None where there are not just two."""
    if len(grey) < 40:
        return None
    eight = np.clip(grey * 255, 0, 255).astype(np.uint8)[None]
    level = (cv2.threshold(eight, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0] + 0.5) / 255
    bright = grey > level
    share = float(bright.mean())
    if not 0.03 < share < 0.97:
        return None
    gap = float(grey[bright].mean() - grey[~bright].mean())
    explained = share * (1 - share) * gap**2 / max(float(grey.var()), 1e-9)
    return level if explained > TWO_TONES and gap > 0.06 else None


def _dark_is_copper(place: Place, bright: np.ndarray, wanted: str) -> bool:
    grey = lighting.luminance(place.picture)
    if float(grey[bright].mean()) > 0.9 and float(grey[~bright].mean()) < 0.1:
        return True  # black on white is artwork or a thresholded scan, and there conductors are drawn black
    warm = place.picture[..., 0] - place.picture[..., 2]
    difference = float(warm[bright].mean() - warm[~bright].mean())
    if abs(difference) > 0.08:  # copper and solder are warmer or paler than the lacquer
        dark = difference < 0
    else:  # traces are narrower than what lies between them
        wide = []
        for part in (bright, ~bright):
            framed = np.pad(part.astype(np.uint8), 1)  # what the crop cuts off must not look wide
            room = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
            wide.append(float(np.quantile(room[room > 0], 0.9)))
        dark = wide[1] <= wide[0]
    copper = float((~bright if dark else bright)[place.mask].mean())
    painted_other = (wanted == "copper" and copper < 0.03) or (wanted == "board" and copper > 0.97)
    return dark != painted_other  # nobody paints an open where there is no conductor: then the guess was wrong


def _fill(place: Place, part: np.ndarray) -> np.ndarray:
    """The colour of one part carried over the whole place, weighted by nearness, without its soft edges."""
    sure = cv2.erode(part.astype(np.uint8), np.ones((3, 3), np.uint8))
    weight = (sure if sure.any() else part.astype(np.uint8)).astype(np.float32)
    near = max(0.25 * place.size, 4.0)
    total = blur(weight, near)
    colour = blur(place.picture * weight[..., None], near)
    plain = (place.picture * weight[..., None]).sum((0, 1)) / weight.sum()
    return ((colour + 1e-3 * plain) / (total + 1e-3)[..., None]).astype(np.float32)


def _repaint(place: Place, seen: Tones, where: np.ndarray, with_metal: bool) -> Layer:
    """Paint `where` (0..1) in one part's colour, and only over the other part, soft edges included."""
    if not seen.found:  # no board: a splash of metal that stands up, or a place where a coat is gone
        lasting = where * smoothstep(0, 0.2, place.inner)
        return Layer(
            height=(0.03 if with_metal else -0.02) * place.size * blur(lasting, 0.03 * place.size),
            cover=0.85 * lasting,
            paint=seen.metal if with_metal else seen.board,
            through=0.35,
            gloss=0.35 if with_metal else 0.0,
            reach_px=max(0.03 * place.size, 2),
        )
    other = ~seen.copper if with_metal else seen.copper
    reach = 1 + round(1.5 * place.optics.sharpness_px)
    other = cv2.dilate(other.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return Layer(
        cover=(where * other).astype(np.float32),
        paint=seen.metal if with_metal else seen.board,
        ends_at_mask=True,
    )


def _etched(place: Place, seen: Tones, where: np.ndarray, amount: float, size_px: float, stream: str) -> np.ndarray:
    """Fray an outline as the etching of this board does; `size_px` is the shape's own width. One piece, no specks.

    `amount` moves it at large, by parts of its width; finely it is as rough as the picture's own edges, no rougher.
    """
    rough_px = _edge_roughness(place, seen)
    reach = max(0.10 * size_px, 1.2 * rough_px, 0.4)
    soft = blur(where, reach)
    bends = place.noise(stream, 60 * size_px / place.size, octaves=2)
    teeth = place.noise(stream + "-teeth", 100 * max(1.5 * rough_px, 1.2) / place.size, octaves=2)
    stray = np.clip(0.05 * amount * size_px * bends + 1.2 * rough_px * teeth, -0.9 * reach, 0.9 * reach)
    near = np.exp(-(((soft - 0.5) / 0.28) ** 2))  # noise moves the outline; away from it, it must not make any
    field = soft + 0.4 * stray / reach * near
    solid = _one_piece(field > 0.5)
    edge = min(0.35 / reach, 0.45)
    return smoothstep(0.5 - edge, 0.5 + edge, np.where(solid, np.maximum(field, 0.5), np.minimum(field, 0.5)))


def _edge_roughness(place: Place, seen: Tones) -> float:
    """How far the picture's own edges between conductor and board stray from smooth ones, pixels."""
    if not seen.found:
        return 0.004 * place.size
    copper = seen.copper.astype(np.float32)
    smooth = blur(copper, 2.0) > 0.5
    band = cv2.morphologyEx(smooth.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    length = 0.5 * float(band.sum())  # the gradient is two pixels wide
    return min(float((seen.copper ^ smooth).sum()) / max(length, 1.0), 2.0)


def _one_piece(part: np.ndarray) -> np.ndarray:
    """The largest connected piece with its pinholes filled, bool HxW."""
    rims, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not rims:
        return part
    sheet = np.zeros(part.shape, np.uint8)
    return cv2.drawContours(sheet, [max(rims, key=cv2.contourArea)], -1, 1, -1) > 0


def _run_of_traces(place: Place, copper: np.ndarray) -> float:
    """The direction conductors run along under the mask, radians."""
    across, down = lighting.slopes(blur(copper.astype(np.float32), 1.2))
    weight = place.mask.astype(np.float32)
    xx, yy, xy = (float((a * b * weight).sum()) for a, b in ((across, across), (down, down), (across, down)))
    if xx + yy < 1e-6:
        return place.angle + math.pi / 2
    return 0.5 * math.atan2(2 * xy, xx - yy) + math.pi / 2


def _edge_point(place: Place, seen: Tones) -> tuple[np.ndarray, np.ndarray]:
    """(a point on a conductor's edge near the middle of the mask, the unit vector from there out over the board)."""
    random = place.random("edge")
    edge = cv2.dilate(seen.copper.astype(np.uint8), np.ones((3, 3), np.uint8)) - seen.copper.astype(np.uint8)
    ys, xs = np.nonzero((edge > 0) & place.mask & (place.inner > 0.15))
    if len(xs) == 0:
        turn = random.uniform(0, 2 * np.pi)
        return np.array(place.centre), np.array([math.cos(turn), math.sin(turn)])
    aim = np.array(place.centre) + random.normal(0, 0.25, 2) * place.reach
    at = int(np.argmin(np.hypot(xs + 0.5 - aim[0], ys + 0.5 - aim[1])))
    across, down = lighting.slopes(blur(seen.copper.astype(np.float32), max(0.05 * place.size, 1.5)))
    outward = -np.array([across[ys[at], xs[at]], down[ys[at], xs[at]]], np.float64)
    return np.array([xs[at] + 0.5, ys[at] + 0.5]), outward / max(float(np.hypot(*outward)), 1e-9)


def _middle_of(place: Place, part: np.ndarray) -> tuple[np.ndarray, float]:
    """(the point of the masked part farthest from its edges, how far that is in pixels)."""
    painted = np.pad((part & place.mask).astype(np.uint8), 1)  # a mask over the whole picture ends at its frame
    inside = cv2.distanceTransform(painted, cv2.DIST_L2, 5)[1:-1, 1:-1]
    if float(inside.max()) < 1:
        inside = place.depth
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return np.array([column + 0.5, row + 0.5]), float(inside.max())


def _splash(place: Place, seen: Tones, centre: np.ndarray, radius: float, ragged: float, stream: str) -> np.ndarray:
    """One to three merged drops, 0..1."""
    random = place.random(stream)
    sheet = Canvas(place)
    lean = random.uniform(0, np.pi)
    sheet.fill(
        [
            shapes.outline(
                random, (centre[0], centre[1]), (0.85 * radius, radius * random.uniform(0.4, 0.85)), lean, 0.3 * ragged
            )
        ]
    )
    for _ in range(int(random.integers(1, 4))):
        turn = random.uniform(0, 2 * np.pi)
        beside = centre + random.uniform(0.5, 0.95) * radius * np.array([math.cos(turn), math.sin(turn)])
        small = radius * random.uniform(0.3, 0.65)
        sheet.fill(
            [shapes.outline(random, (beside[0], beside[1]), (small, small * random.uniform(0.7, 1)), turn, 0.25)]
        )
    return _etched(place, seen, sheet.done(), ragged, radius, stream)


def open_circuit(place: Place, values: Values) -> Layer:
    """A gap right across the conductor, its ends uneven, at times a sliver of it left at one end."""
    random = place.random("open")
    seen = tones(place, values["copper"], "copper")
    turn = _run_of_traces(place, seen.copper) if seen.found else place.direction(random)
    x, y = place.grid
    dx, dy = x - np.float32(place.centre[0]), y - np.float32(place.centre[1])
    u, v = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    half = max(values["gap"] * float(np.quantile(np.abs(u[place.mask]), 0.95)), 0.8)
    slant = math.tan(random.normal(0, 0.16))
    # Each end strays as a function of the place across the trace alone: it may be torn, but nothing comes loose.
    wide = max(float(np.abs(v[place.mask]).max()), 1.0)
    t, at = np.clip(v / wide, -1, 1), np.linspace(-1, 1, 96)
    teeth = _edge_roughness(place, seen)
    steps = max(8, min(96, round(2 * wide / max(2.5 * teeth, 1.5))))
    sliver = np.exp(-(((at - random.uniform(-0.25, 0.25)) / random.uniform(0.05, 0.12)) ** 2))
    limits = []
    for tongue in (values["residue"], 0.0):
        torn = 0.30 * values["raggedness"] * half * shapes.wander(random, 96, 0.45)
        torn = torn + teeth * np.interp(at, np.linspace(-1, 1, steps), random.standard_normal(steps))
        limits.append(half + torn - 1.3 * tongue * half * sliver)
    lean = u + slant * v
    ahead = np.interp(t, at, limits[0]) - lean
    behind = np.interp(t, at, limits[1]) + lean
    gap = smoothstep(-0.6, 0.6, np.minimum(ahead, behind).astype(np.float32))
    return _repaint(place, seen, gap, False)


def short_circuit(place: Place, values: Values) -> Layer:
    """A bridge of conductor from one trace to the next."""
    random = place.random("short")
    seen = tones(place, values["copper"], "board")
    along = place.angle if place.aspect > 1.25 else _run_of_traces(place, seen.copper) + math.pi / 2
    path = place.path(random, along)
    width = max(values["width"] / 100 * place.size, 1.6)
    width = min(width, 1.7 * place.reach)
    swell = np.exp(0.25 * values["raggedness"] * shapes.wander(random, 96, 0.4))
    path = path + shapes.sideways(path) * (shapes.wander(random, 96, 0.2) * 0.25 * width)[:, None]
    sheet = Canvas(place)
    sheet.ribbon(path, swell * width)
    return _repaint(place, seen, _etched(place, seen, sheet.done(), values["raggedness"], width, "short"), True)


def spur(place: Place, values: Values) -> Layer:
    """A spike that grows from a conductor's edge out over the board."""
    random = place.random("spur")
    seen = tones(place, values["copper"], "edge")
    foot, outward = _edge_point(place, seen)
    width = max(values["width"] / 100 * place.size, 1.6)
    turn = random.normal(0, 0.35)
    outward = np.array(
        [
            outward[0] * math.cos(turn) - outward[1] * math.sin(turn),
            outward[0] * math.sin(turn) + outward[1] * math.cos(turn),
        ]
    )
    room = max(place.run(foot, outward), 1.5)
    t = np.linspace(0, 1, 40)
    reach = values["length"] * room
    rooted = width + 1.5 * place.optics.sharpness_px  # it starts within the conductor, or it would stand apart
    path = foot + outward * (t * (reach + rooted) - rooted)[:, None]
    path = path + shapes.sideways(path) * (np.sin(t * 2.5) * random.normal(0, 0.12) * reach)[:, None]
    taper = np.interp(t, [0, 0.3, 0.8, 1], [1, random.uniform(0.6, 1), random.uniform(0.35, 0.9), 0.25])
    sheet = Canvas(place)
    sheet.ribbon(path, taper * width)
    return _repaint(place, seen, _etched(place, seen, sheet.done(), values["raggedness"], width, "spur"), True)


def mousebite(place: Place, values: Values) -> Layer:
    """A gnawed notch in a conductor's edge."""
    random = place.random("mousebite")
    seen = tones(place, values["copper"], "edge")
    edge, outward = _edge_point(place, seen)
    radius = max(values["size"] * 0.62 * place.reach, 1.2)
    centre = edge - outward * radius * random.uniform(0.0, 0.5)
    return _repaint(place, seen, _splash(place, seen, centre, radius, values["raggedness"], "mousebite"), False)


def pin_hole(place: Place, values: Values) -> Layer:
    """A small hole with conductor all around."""
    seen = tones(place, values["copper"], "copper")
    centre, room = _middle_of(place, seen.copper)
    radius = max(values["size"] * 0.62 * room, 1.0)
    return _repaint(place, seen, _splash(place, seen, centre, radius, values["raggedness"], "pin_hole"), False)


def spurious_copper(place: Place, values: Values) -> Layer:
    """A speck of conductor alone on the board."""
    seen = tones(place, values["copper"], "board")
    centre, room = _middle_of(place, ~seen.copper)
    radius = max(values["size"] * 0.62 * room, 1.0)
    return _repaint(place, seen, _splash(place, seen, centre, radius, values["raggedness"], "spurious_copper"), True)
