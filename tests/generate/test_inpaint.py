"""Painting end to end: exact outside, labelled inside, the same bytes for the same request."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from pipelines.core import images, intake, kinds, requests
from pipelines.core.assets import Assets
from pipelines.core.queue import Row
from pipelines.parts import crop, defects, lighting
from pipelines.worker import Worker
from tests import pictures


def paint(folder: Path, runs: Path, **fields: Any) -> tuple[Row, Path]:
    request = intake.from_paths(requests.parse(pictures.request(folder, **fields)), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    return row, runs / row.id


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("feather_px", [0, 2, 9])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
def test_beyond_the_feather_nothing_changes_and_the_label_is_what_changed(
    tmp_path: Path, runs: Path, bits: int, grey: bool, feather_px: int
) -> None:
    before, asked = pictures.good(bits=bits, grey=grey), pictures.disc()
    row, run = paint(tmp_path, runs, picture=before, mask=asked, feather_px=feather_px, defect="dent")
    assert row.state == "done", row.sentence
    after = images.read(run / "images" / "00000.png").pixels
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    outside = crop.feather(asked, feather_px) == 0
    assert (after[outside] == before[outside]).all()
    differs = after != before if grey else (after != before).any(axis=2)
    label = images.read_mask(run / "masks" / "00000.png")
    assert (label == differs).all()
    assert label.any()
    assert (images.read_mask(run / "masks" / "00000.asked.png") == asked).all()


def test_twelve_bits_in_sixteen_are_painted_on_their_own_scale(tmp_path: Path, runs: Path) -> None:
    before = pictures.good(bits=16) // 16
    _, run = paint(tmp_path, runs, picture=before, defect="hole", severity=0.8)
    after = images.read(run / "images" / "00000.png").pixels
    _, run = paint(tmp_path, runs, picture=pictures.good(bits=16), defect="hole", severity=0.8)
    whole = images.read(run / "images" / "00000.png").pixels
    assert np.abs(whole.astype(int) // 16 - after).max() <= 2
    assert after.max() <= 4095


@pytest.mark.parametrize("grey", [False, True])
def test_a_16_bit_tiff_comes_back_as_a_16_bit_png(tmp_path: Path, runs: Path, grey: bool) -> None:
    before = pictures.good(bits=16, grey=grey) | 1  # odd values: an 8-bit detour would lose them
    table = pictures.request(tmp_path)
    tifffile.imwrite(tmp_path / "part.tif", before, photometric="minisblack" if grey else "rgb")
    request = intake.from_paths(requests.parse({**table, "image": str(tmp_path / "part.tif")}), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    after = images.read(runs / row.id / "images" / "00000.png").pixels
    outside = ~crop.feathered(pictures.disc(), request.model_dump()["feather_px"])
    assert after.dtype == np.uint16
    assert (after[outside] == before[outside]).all()


@pytest.mark.parametrize("defect", sorted(kinds.load()))
def test_every_defect_is_painted_and_seen(tmp_path: Path, runs: Path, defect: str) -> None:
    row, run = paint(tmp_path, runs, picture=pictures.good(96, 128), defect=defect, severity=0.6)
    assert row.state == "done", row.sentence
    (found,) = rows(run)
    assert found["scores"]["outside_max"] == 0
    assert found["scores"]["visibility"] > 1
    assert found["defect"] == defect


@pytest.mark.parametrize("defect", ["scratch", "crack", "cut", "burr", "stain", "hole"])
def test_a_stroke_of_one_pixel_works(tmp_path: Path, runs: Path, defect: str) -> None:
    row, run = paint(tmp_path, runs, mask=pictures.line(), defect=defect)
    assert row.state == "done", row.sentence
    assert images.read_mask(run / "masks" / "00000.png").any()


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, runs: Path) -> None:
    _, first = paint(tmp_path, runs, num_images=3, seed=5, defect="crack")
    _, again = paint(tmp_path, runs, num_images=3, seed=5, defect="crack")
    files = [f"images/0000{k}.png" for k in range(3)]
    assert [(first / file).read_bytes() for file in files] == [(again / file).read_bytes() for file in files]
    assert len({(first / file).read_bytes() for file in files}) == 3


def test_a_picture_is_made_again_from_its_own_metadata(tmp_path: Path, runs: Path) -> None:
    _, run = paint(tmp_path, runs, num_images=3, seed=5, defect="stain")
    picture = run / "images" / "00002.png"
    asked = images.read_request(picture)
    assert asked is not None
    with Worker(runs, "cpu", ()) as worker:
        id = worker.queue.submit(requests.parse(asked), owner=worker.owner)
        worker.serve(worker.queue.get(id))
    assert (runs / id / "images" / "00000.png").read_bytes() == picture.read_bytes()


def test_metadata_holds_no_path_id_or_time(tmp_path: Path, runs: Path) -> None:
    row, run = paint(tmp_path, runs)
    text = json.dumps(images.read_request(run / "images" / "00000.png"))
    for secret in (str(tmp_path), row.id, "asset-"):
        assert secret not in text


def test_several_regions_are_each_their_own_defect(tmp_path: Path, runs: Path) -> None:
    left, right = pictures.disc(at=(25, 36), radius=14), pictures.disc(at=(70, 36), radius=14)
    images.write_png(tmp_path / "left.png", left)
    images.write_png(tmp_path / "right.png", right)
    regions = [
        {"mask": str(tmp_path / "left.png"), "defect": "hole", "severity": 0.8},
        {"mask": str(tmp_path / "right.png"), "defect": "stain", "seed": 40},
    ]
    table = {key: value for key, value in pictures.request(tmp_path).items() if key in ("task", "image")}
    request = intake.from_paths(requests.parse({**table, "regions": regions}), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    run = runs / row.id
    (found,) = rows(run)
    assert [region["defect"] for region in found["regions"]] == ["hole", "stain"]
    masks = [images.read_mask(run / region["mask"]) for region in found["regions"]]
    near_left, near_right = crop.feather(left, 2) > 0, crop.feather(right, 2) > 0
    assert not (masks[0] & ~near_left).any()
    assert not (masks[1] & ~near_right).any()
    assert ((masks[0] | masks[1]) == images.read_mask(run / found["mask"])).all()
    assert found["defect"] == "hole+stain"


@pytest.mark.parametrize(("padding_px", "feather_px"), [(4, 9), (30, 0)])
def test_a_region_s_own_margins_are_those_it_would_have_alone(
    tmp_path: Path, runs: Path, padding_px: int, feather_px: int
) -> None:
    margins = {"padding_px": padding_px, "feather_px": feather_px}
    _, alone = paint(tmp_path, runs, defect="dent", seed=3, **margins)
    table = pictures.request(tmp_path)
    region = {"mask": table["mask"], "defect": "dent", "severity": table["severity"], "seed": 3, **margins}
    asked = requests.parse({"task": "inpaint", "image": table["image"], "seed": 3, "regions": [region]})
    request = intake.from_paths(asked, Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    one, other = (images.read(run / "images" / "00000.png").pixels for run in (alone, runs / row.id))
    assert (one == other).all()
    outside = ~crop.feathered(pictures.disc(), feather_px)
    assert (other == pictures.good())[outside].all()
    assert rows(runs / row.id)[0]["scores"]["outside_max"] == 0


def test_the_asked_label_is_the_painted_mask(tmp_path: Path, runs: Path) -> None:
    _, run = paint(tmp_path, runs, label="asked")
    assert (images.read_mask(run / "masks" / "00000.png") == pictures.disc()).all()
    assert (run / "masks" / "00000.changed.png").exists()


def test_half_the_strength_is_half_the_change(tmp_path: Path, runs: Path) -> None:
    before = pictures.good().astype(int)
    change = []
    for strength in (1.0, 0.5):
        _, run = paint(tmp_path, runs, strength=strength, feather_px=0)
        change.append(np.abs(images.read(run / "images" / "00000.png").pixels.astype(int) - before).sum())
    assert change[1] == pytest.approx(change[0] / 2, rel=0.1)


@pytest.mark.parametrize("defect", ["hole", "stain", "crack", "rolled-in_scale"])
def test_at_half_the_strength_the_label_has_the_same_pieces_and_no_pinholes(
    tmp_path: Path, runs: Path, defect: str
) -> None:
    found = []
    for strength in (1.0, 0.5):
        before = pictures.good(160, 200)
        _, run = paint(
            tmp_path, runs, picture=before, defect=defect, strength=strength, mask=pictures.disc(160, 200, radius=50)
        )
        label = images.read_mask(run / "masks" / "00000.png")
        after = images.read(run / "images" / "00000.png").pixels
        assert (label == (after != before).any(axis=2)).all()
        found.append(label)
    assert (
        cv2.connectedComponents(found[0].astype(np.uint8))[0] == cv2.connectedComponents(found[1].astype(np.uint8))[0]
    )
    assert (found[0] ^ found[1]).sum() < 0.01 * found[0].sum()


def test_what_lies_far_from_the_mask_tells_the_lamp_and_the_tones_and_nothing_else(tmp_path: Path, runs: Path) -> None:
    before, mask = pictures.good(200, 300), pictures.disc(200, 300, radius=20)
    _, run = paint(tmp_path, runs, picture=before, mask=mask, padding_px=40, feather_px=2, seed=3)
    after = images.read(run / "images" / "00000.png").pixels
    weight, window = crop.feather(mask, 2), crop.around(mask, 42).window
    values = images.to_float(before)
    seen = lighting.within(lighting.estimate(values), values[window])
    drawing = defects.draw(
        values[window], weight[window] > 0, "hole", severity=0.7, seed=3, weight=weight[window], optics=seen
    )
    assert (after[window] == images.from_float(drawing.image, like=before)).all()


def test_a_small_dent_is_lit_by_the_lamp_of_the_whole_picture(tmp_path: Path, runs: Path) -> None:
    slope = np.linspace(0.2, 0.8, 400, dtype=np.float32)[None, :, None].repeat(300, 0).repeat(3, 2)
    before = np.round(slope * 255).astype(np.uint8)
    before[100:200, 150:250] = 128  # where it is painted, the part itself tells nothing
    mask = pictures.disc(300, 400, radius=24)
    _, run = paint(tmp_path, runs, picture=before, mask=mask, padding_px=8, defect="bump", severity=1.0)
    after = images.read(run / "images" / "00000.png").pixels.astype(int)[..., 1]
    assert after[150, 203:216].mean() > after[150, 184:197].mean() + 8


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mask": np.zeros((72, 96), bool)}, "mask mask.png is empty: its brightest value is 0 of 255"),
    ({"mask": np.ones((60, 96), bool)}, "mask.png is 96 x 60 px and its picture 96 x 72"),
    ({"strength": 0.0}, "nothing can be seen of hole in region 1"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=["empty", "size", "strength"])
def test_a_refused_input_fails_the_run_with_a_sentence_and_writes_no_picture(
    tmp_path: Path, runs: Path, fields: dict[str, Any], sentence: str
) -> None:
    row, run = paint(tmp_path, runs, **fields)
    assert (row.state, row.code) == ("failed", "bad_input")
    assert sentence in (row.sentence or "")
    assert not list(run.rglob("*.png"))
