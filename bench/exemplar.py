"""What the exemplar base makes of four examples beside crop-paste: the realism measure, how varied it is, and sheets.

    python -m bench.exemplar --data DIR --out DIR [--case magnetic_tile/MT_Crack] [--count 60]

DIR holds public data sets as downloaded (magnetic_tile, NEU_Seg, mvtec_ad/leather). Each case's figures are one file in
OUT: a case that has one is not measured again. Judged are pictures that lent nothing; where a data set has no good
pictures, a defect is laid on the sound parts of another defective one, for either engine.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.noise import fractal, rng
from pipelines.parts import crop, exemplars, lighting, loaders, sheets
from pipelines.parts.metrics import cropped, realism, texture
from pipelines.parts.metrics.realism import Marked

CASES = (
    "magnetic_tile/MT_Blowhole",
    "magnetic_tile/MT_Break",
    "magnetic_tile/MT_Crack",
    "NEU_Seg/1",
    "NEU_Seg/2",
    "NEU_Seg/3",
    "mvtec_ad/leather/cut",
    "mvtec_ad/leather/fold",
    "mvtec_ad/leather/glue",
)
EXAMPLES = 4
SHOWN = 8
NEIGHBOURS = 5
APART_PX = 8
LEAN_DEG, SCALES, BEND = 15.0, (0.8, 1.2), 0.02
"""How far a painted shape is from an example's: turned, scaled, and its outline bent, in parts of its size."""
ENGINES = ("exemplar", "same masks", "crop-paste")
"""The second is the exemplar base in the places and outlines of crop-paste: only the drawing differs."""


@dataclass(frozen=True)
class Case:
    """A defect of a data set: what lends, what is judged against, and where defects may go."""

    name: str
    examples: list[Marked]
    real: list[Marked]
    hosts: list[Marked]
    """Pictures, with where they may be painted on."""


def read(data: Path, name: str, seed: int) -> Case:
    """The case with `EXAMPLES` pictures drawn by the seed as examples; all of them where there are too few to judge."""
    root, _, defect = name.rpartition("/")
    found = loaders.load(data / root, "auto", lambda fault: None)
    marked, hosts = [], []
    for one in found:
        if one.classes == (defect,):
            picture = images.read(one.image).pixels
            marked.append(Marked(picture, loaders.mask_of(one, picture.shape[:2]), one.image.name))
        elif not one.classes:
            picture = images.read(one.image).pixels
            hosts.append(Marked(picture, np.ones(picture.shape[:2], bool), one.image.name))
    order = rng(seed, "examples").permutation(len(marked)).tolist()
    examples = [marked[place] for place in order[:EXAMPLES]]
    rest = [marked[place] for place in order[EXAMPLES:]]
    if not hosts:
        reach = np.ones((2 * APART_PX + 1,) * 2, np.uint8)
        hosts = [Marked(one.picture, cv2.dilate(one.mask.astype(np.uint8), reach) == 0, one.source) for one in rest]
    return Case(name, examples, rest, hosts)


def pieces(examples: Sequence[Marked]) -> list[Marked]:
    """Each defect of each example by itself."""
    return [Marked(one.picture, piece, one.source) for one in examples for piece in crop.groups(one.mask, APART_PX)]


def outline(masks: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """bool: a shape as a person may paint it who saw the masks: one of them mirrored, leant, scaled and bent."""
    mask = masks[int(random.integers(len(masks)))]
    shape = mask[crop.around(mask, 3).window].astype(np.float32)
    height, width = shape.shape
    scale = float(random.uniform(*SCALES))
    shape = shape[:: random.choice([-1, 1]), :: random.choice([-1, 1])]
    side = int(np.hypot(height, width) * scale) + 16
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(random.uniform(-LEAN_DEG, LEAN_DEG)), scale)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    turned = cv2.warpAffine(shape, turn, (side, side))
    bends = [
        fractal(int(random.integers(2**30)), turned.shape, max(8, side / 3), octaves=2) * np.float32(BEND * side)
        for _ in range(2)
    ]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    bent = cv2.remap(turned, x + bends[0], y + bends[1], cv2.INTER_LINEAR)
    found = bent >= min(0.5, 0.5 * float(bent.max()))
    return found[crop.around(found, 0).window]


def placed(shape: np.ndarray, host: Marked, random: np.random.Generator) -> np.ndarray | None:
    """bool HxW of the host with the shape somewhere it may be; None where it finds no room."""
    tall, wide = (host.mask.shape[axis] - shape.shape[axis] - 8 for axis in (0, 1))
    if tall <= 0 or wide <= 0:
        return None
    for _ in range(100):
        top, left = 4 + int(random.integers(tall)), 4 + int(random.integers(wide))
        where = slice(top, top + shape.shape[0]), slice(left, left + shape.shape[1])
        if host.mask[where][shape].all():
            mask = np.zeros(host.mask.shape, bool)
            mask[where] = shape
            return mask
    return None


def painted(case: Case, count: int, seed: int) -> list[Marked]:
    """Pictures of the exemplar base: painted shapes on hosts, drawn at the usual severity and feather."""
    cuts = [cutout(one) for one in pieces(case.examples)]
    masks = [one.mask for one in pieces(case.examples)]
    whole = [mask for mask in masks if not framed(mask)] or masks
    found: list[Marked] = []
    number = 0
    while len(found) < count:
        number += 1
        random = rng(seed, "painted", number)
        host = case.hosts[random.integers(len(case.hosts))]
        mask = placed(outline(whole, random), host, random)
        if mask is not None:
            found.append(Marked(draw(host.picture, mask, cuts, number), mask, host.source))
    return found


def framed(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def cutout(one: Marked) -> exemplars.Cutout:
    values = images.to_float(one.picture, images.white(one.picture))
    box = crop.around(one.mask, exemplars.margin_px(one.mask))
    light = lighting.estimate(values).light.azimuth_deg
    return exemplars.cut(np.ascontiguousarray(values[box.window]), one.mask[box.window], light)


def draw(picture: np.ndarray, mask: np.ndarray, cuts: Sequence[exemplars.Cutout], seed: int) -> np.ndarray:
    white, feather_px = images.white(picture), 2
    box = crop.around(mask, exemplars.margin_px(mask) + feather_px)
    light = lighting.estimate(images.to_float(picture, white)).light.azimuth_deg
    values = np.ascontiguousarray(images.to_float(picture[box.window], white))
    weight = crop.feather(mask[box.window], feather_px)
    drawn = exemplars.draw(values, mask[box.window], cuts, weight, severity=0.5, seed=seed, light_deg=light)
    result = picture.copy()
    result[box.window] = images.from_float(drawn.image, like=picture[box.window], white=white)
    return result


def pasted(case: Case, count: int, seed: int) -> list[Marked]:
    """Pictures of crop-paste, from the same examples on the same hosts."""
    donors = pieces(case.examples)
    found: list[Marked] = []
    number = 0
    while len(found) < count:
        number += 1
        random = rng(seed, "painted", number)
        host = case.hosts[random.integers(len(case.hosts))]
        donor = donors[random.integers(len(donors))]
        try:
            found.append(
                Marked(*cropped.paste(host.picture, donor.picture, donor.mask, number, host.mask), host.source)
            )
        except BadInput:
            continue
    return found


def coverage(made: Sequence[Marked], real: Sequence[Marked]) -> float:
    """Share of real crops within whose NEIGHBOURS-th nearest real one a synthetic one lies (arXiv 2002.09797)."""
    true = np.stack([texture.features(one) for each in real for one in realism.crops(each)])
    own = np.stack([texture.features(one) for each in made for one in realism.crops(each)])
    own, true = texture.standardised(own, true), texture.standardised(true, true)
    among = np.linalg.norm(true[:, None] - true[None], axis=2)
    radius = np.sort(among, axis=1)[:, min(NEIGHBOURS, len(true) - 1)]
    near = np.linalg.norm(true[:, None] - own[None], axis=2).min(axis=1)
    return float(np.mean(near <= radius))


def sheet(case: Case, ours: Sequence[Marked], theirs: Sequence[Marked]) -> np.ndarray:
    rows = {"examples": pieces(case.examples), "exemplar": ours, "crop-paste": theirs}
    cells = []
    for row in rows.values():
        crops = [one for each in row for one in realism.crops(each)[:1]][:SHOWN]
        pictures = [cv2.resize((one * 255).astype(np.uint8), (224, 224), interpolation=cv2.INTER_AREA) for one in crops]
        cells.append([*pictures, *[np.full((224, 224, 3), 245, np.uint8)] * (SHOWN - len(pictures))])
    return sheets.grid(cells, list(rows), [""] * SHOWN)


def measure(case: Case, count: int, seed: int, out: Path) -> dict[str, Any]:
    began = time.process_time()
    ours = painted(case, count, seed)
    seconds = (time.process_time() - began) / count
    theirs = pasted(case, count, seed)
    cuts = [cutout(one) for one in pieces(case.examples)]
    host = {one.source: one.picture for one in case.hosts}
    same = [Marked(draw(host[one.source], one.mask, cuts, k), one.mask, one.source) for k, one in enumerate(theirs)]
    images.write_png(out / f"{case.name.replace('/', '-')}.png", sheet(case, ours, theirs))
    found: dict[str, Any] = {"cpu_s": round(seconds, 3)}
    for name, made in zip(ENGINES, (ours, same, theirs), strict=True):
        try:
            figures = realism.measure(made, case.real).row()
        except BadInput as error:
            found["unmeasured"] = str(error)
            break
        figures["coverage"] = coverage(made, case.real)
        found[name] = figures
    return found


def line(name: str, figures: dict[str, Any]) -> str:
    if "unmeasured" in figures:
        return f"{name}: sheet only ({figures['unmeasured']})"
    told = [
        f"{engine} AUROC {one['auroc']:.3f} KID {one['kid']['value']:.3f} (real {one['kid_real']['value']:.3f})"
        f" coverage {one['coverage']:.2f}"
        for engine, one in ((engine, figures[engine]) for engine in ENGINES)
    ]
    return f"{name}: {'; '.join(told)}; {figures['cpu_s']:.2f} CPU s a picture"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exemplar", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and sheets")
    parser.add_argument("--case", action="append", choices=CASES, help="this case only (may be given again)")
    parser.add_argument("--count", type=int, default=60, help="pictures of each engine")
    parser.add_argument("--seed", type=int, default=0, help="which examples are drawn")
    asked = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.case or CASES:
        path = asked.out / f"{name.replace('/', '-')}.json"
        if not path.exists():
            figures = measure(read(asked.data, name, asked.seed), asked.count, asked.seed, asked.out)
            path.write_text(json.dumps(figures, indent=1))
        print(line(name, json.loads(path.read_text())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
