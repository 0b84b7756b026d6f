"""The crop task: every crop is that window of its picture and of its mask, and a run to train from."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.crop import Crop
from pipelines.core.runs import Run
from pipelines.dataset import crop as task
from pipelines.parts import loaders
from pipelines.parts.crop import Box
from tests import pictures

HIGH, WIDE = 72, 96
LEFT, RIGHT = pictures.disc(radius=5, at=(14, 20)), pictures.disc(radius=9, at=(75, 50))
LINE = pictures.line()


def fill(root: Path, masks: list[np.ndarray | None], **kind: Any) -> Path:
    """images/<hole|good>/0.png ... with masks/hole; None is a good picture."""
    for number, mask in enumerate(masks):
        folder = "good" if mask is None else "hole"
        for side in ("images", "masks"):
            (root / side / folder).mkdir(parents=True, exist_ok=True)
        images.write_png(root / "images" / folder / f"{number}.png", pictures.good(seed=number, **kind))
        if mask is not None:
            images.write_png(root / "masks" / folder / f"{number}.png", mask)
    return root


def begin(runs: Path, **fields: Any) -> Run:
    request = intake.from_paths(requests.parse({"task": "crop", "side_px": 32, **fields}), Assets(runs))
    queue, me = Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def done(runs: Path, **fields: Any) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """The run's folder, its result and its rows."""
    run = begin(runs, **fields)
    assert isinstance(run.request, Crop)
    task.run(run.request, run, Models())
    return run.folder, json.loads((run.folder / "result.json").read_text(encoding="utf-8")), run.rows()


def window(row: dict[str, Any]) -> tuple[slice, slice]:
    return Box(*row["cut"]["window"]).window


def same(folder: Path, rows: list[dict[str, Any]], root: Path, mask: np.ndarray) -> None:
    """Each crop is that window of its source, and so is its mask."""
    for row in rows:
        source = images.read(next(root.rglob(f"images/*/{row['cut']['name']}")))
        crop = images.read(folder / row["file"]).pixels
        assert source.sha256 == row["cut"]["sha256"]
        assert crop.dtype == source.pixels.dtype
        assert np.array_equal(crop, source.pixels[window(row)])
        if row["regions"]:
            assert np.array_equal(images.read_mask(folder / row["mask"]), mask[window(row)])
        else:
            assert not mask[window(row)].any()


@pytest.mark.parametrize("how", ["mask", "tiles", "square"])
@pytest.mark.parametrize("kind", [{}, {"bits": 16, "grey": True}], ids=["8 bits", "16 bits"])
def test_a_crop_is_that_window_of_the_picture_and_of_its_mask(
    runs: Path, tmp_path: Path, how: str, kind: dict[str, Any]
) -> None:
    mask = LEFT | RIGHT
    root = fill(tmp_path / "set", [mask], **kind)
    folder, result, rows = done(runs, data=str(root), how=how, minimum_area_px=1)
    same(folder, rows, root, mask)
    assert all(side >= 32 for row in rows for side in images.read(folder / row["file"]).pixels.shape[:2])
    assert (result["images"], result["left_out"]) == ({"mask": 2, "tiles": 9, "square": 1}[how], 0)
    assert np.logical_or.reduce([_placed(row, folder) for row in rows if row["regions"]])[mask].all()


def _placed(row: dict[str, Any], folder: Path) -> np.ndarray:
    whole = np.zeros((HIGH, WIDE), bool)
    whole[window(row)] = images.read_mask(folder / row["mask"])
    return whole


@pytest.mark.parametrize("side", [16, 31, 72])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_tiles_cover_the_picture_and_lie_within_it(side: int, overlap: float) -> None:
    boxes = task.tiles((HIGH, WIDE), side, overlap)
    covered = np.zeros((HIGH, WIDE), bool)
    for box in boxes:
        assert covered[box.window].shape == (side, side)
        covered[box.window] = True
    assert covered.all()
    assert len(set(boxes)) == len(boxes)
    lefts = sorted({box.left for box in boxes})
    assert all(right - left <= max(1, round(side * (1 - overlap))) for left, right in pairwise(lefts))


def test_a_tile_with_a_scrap_of_a_defect_is_neither_good_nor_defective(runs: Path, tmp_path: Path) -> None:
    mask = np.zeros((HIGH, WIDE), bool)
    mask[30:34, 5:15] = True  # two rows in the first tile, two in the one below
    mask[31, 40] = True
    root = fill(tmp_path / "set", [mask])
    folder, result, rows = done(runs, data=str(root), how="tiles", minimum_area_px=2)
    assert (result["defective"], result["left_out"]) == (3, 1) or (result["defective"], result["left_out"]) == (2, 1)
    same(folder, rows, root, mask)
    _, alone, rest = done(runs, data=str(root), how="tiles", minimum_area_px=2, keep_good=False)
    assert alone["good"] == 0
    assert all(row["regions"] for row in rest)


def test_thin_masks_are_kept(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LINE])
    folder, _, rows = done(runs, data=str(root), how="tiles", overlap=0.5, minimum_area_px=1)
    same(folder, rows, root, LINE)
    assert np.array_equal(np.logical_or.reduce([_placed(row, folder) for row in rows if row["regions"]]), LINE)


def test_the_run_is_a_data_set_with_the_same_masks(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT, RIGHT, None])
    folder, result, rows = done(runs, data=str(root), how="tiles")
    assert (result["sources"], result["good"] + result["defective"]) == (3, result["images"])
    found = {one.image.name: one for one in loaders.load(folder, "auto")}
    assert len(found) == len(rows)
    for row in rows:
        one = found[Path(row["file"]).name]
        shape = images.read(one.image).pixels.shape[:2]
        mask = {"0.png": LEFT, "1.png": RIGHT}.get(row["cut"]["name"], np.zeros((HIGH, WIDE), bool))
        assert np.array_equal(loaders.mask_of(one, shape), mask[window(row)])
        assert one.defect == ("hole" if row["regions"] else "")
    again, other, _ = done(runs, data=folder.name, how="square", side_px=16)
    assert other["sources"] == len(rows)
    assert images.read_request(again / "images/00000.png")["data"] == "run"  # type: ignore[index]


def test_padding_and_side_say_how_much_lies_around(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [RIGHT])  # 19 px wide at (75, 50)
    _, _, (tight,) = done(runs, data=str(root), padding=0, side_px=16)
    assert tight["cut"]["window"] == [41, 66, 60, 85]
    _, _, (wide,) = done(runs, data=str(root), padding=0.5, side_px=16)
    assert wide["cut"]["window"] == [31, 56, 70, 95]
    _, _, (least,) = done(runs, data=str(root), padding=0, side_px=64)
    assert least["cut"]["window"] == [8, 32, 72, 96]


def test_the_largest_defects_and_some_good_windows_are_kept(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT | RIGHT])
    _, _, rows = done(runs, data=str(root), most_per_picture=1)
    assert rows[0]["cut"]["window"][1] > 40
    _, result, _ = done(runs, data=str(root), how="tiles", most_per_picture=7)
    assert result["images"] == 7
    _, whole, _ = done(runs, data=str(root), how="tiles")
    assert result["defective"] == whole["defective"]


def test_a_crop_is_made_again_from_its_metadata(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT, RIGHT | LINE])
    folder, _, rows = done(runs, data=str(root), overlap=0.25, how="tiles")
    for row in (rows[0], rows[-1], next(row for row in rows if row["regions"])):
        carried = images.read_request(folder / row["file"])
        assert carried is not None
        assert carried["data"] == "set"
        assert str(tmp_path) not in json.dumps(carried)
        again, _, (one,) = done(runs, **{**carried, "data": str(root)})
        assert one["cut"] == row["cut"]
        assert (again / one["file"]).read_bytes() == (folder / row["file"]).read_bytes()
        if row["regions"]:
            assert (again / one["mask"]).read_bytes() == (folder / row["mask"]).read_bytes()
    with pytest.raises(BadInput, match="is not in this data set as it was"):
        done(runs, data=str(fill(tmp_path / "other", [LINE], height=60)), only=rows[-1]["cut"])


def test_a_picture_smaller_than_the_side_is_a_sentence_before_anything_is_cut(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT, None])
    run = begin(runs, data=str(root), side_px=80)
    with pytest.raises(BadInput, match=r"2 of 2 pictures are smaller than side_px = 80; .* choose side_px up to 72"):
        task.run(run.request, run, Models())  # type: ignore[arg-type]
    assert not (run.folder / "images").exists()


def test_several_kinds_are_areas_of_their_own(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(2):
        images.write_png(root / f"images/{number}.png", pictures.good(seed=number))
        images.write_png(root / f"masks/{number}.png", np.where(LEFT, 1, np.where(RIGHT, 2, 0)).astype(np.uint8))
    (root / "classes.txt").write_text("hole\ndent\n")
    folder, _, rows = done(runs, data=str(root), how="square", side_px=16)
    for row in rows:
        assert {one["defect"] for one in row["regions"]} == {"hole", "dent"}
        for one in row["regions"]:
            mask = LEFT if one["defect"] == "hole" else RIGHT
            assert np.array_equal(images.read_mask(folder / one["mask"]), mask[window(row)])


def test_captions_go_along_but_not_with_the_good_tiles_of_a_damaged_part(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT, None])
    first, _, rows = done(runs, data=str(root), how="tiles")
    assert not any("caption" in row for row in rows)
    lines = (first / "manifest.jsonl").read_text().splitlines()
    said = [json.dumps({**json.loads(line), "caption": "a photo of steel"}) + "\n" for line in lines]
    (first / "manifest.jsonl").write_text("".join(said))
    _, _, crops = done(runs, data=first.name, how="tiles", side_px=16)
    damaged = {row["file"].rpartition("/")[2] for row in rows if row["regions"]}
    for row in crops:
        speaks = bool(row["regions"]) or row["cut"]["name"] not in damaged
        assert ("caption" in row) == speaks
    found = loaders.load(first, "run")
    assert {one.caption for one in found} == {"a photo of steel"}


def test_defects_that_nobody_marked_are_left_out_and_named(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for kind in ("good", "dent"):
        (root / "train" / kind).mkdir(parents=True)
        images.write_png(root / "train" / kind / f"{kind}.png", pictures.good())
    _, result, _ = done(runs, data=str(root), how="tiles", layout="imagefolder")
    assert (result["unmarked"], result["sources"]) == (["dent.png"], 1)
    with pytest.raises(BadInput, match=r"no window of set is left \(1 pictures show a defect that nobody marked"):
        done(runs, data=str(root), layout="imagefolder", keep_good=False)


def test_a_run_that_was_stopped_goes_on_where_it_was(runs: Path, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", [LEFT, RIGHT])
    whole, _, _ = done(runs, data=str(root))
    run = begin(runs, data=str(root))
    real = task._Cutter.cut
    made: list[int] = []

    def dying(self: Any, index: int, window: task.Window) -> dict[str, Any]:
        if made:
            raise KeyboardInterrupt
        made.append(index)
        return real(self, index, window)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task._Cutter, "cut", dying)
        with pytest.raises(KeyboardInterrupt):
            task.run(run.request, run, Models())  # type: ignore[arg-type]
    first = (run.folder / "images/00000.png").stat().st_mtime_ns
    task.run(run.request, run, Models())  # type: ignore[arg-type]
    assert (run.folder / "images/00000.png").stat().st_mtime_ns == first
    for file in ("images/00000.png", "images/00001.png", "masks/00001.png", "manifest.jsonl"):
        assert (run.folder / file).read_bytes() == (whole / file).read_bytes()


def test_it_needs_no_device() -> None:
    assert Crop(data="set").lane() == "cpu"


REFUSED = [
    ({"overlap": 0.95}, "overlap = 0.95"),
    ({"side_px": 8}, "side_px = 8"),
    ({"only": {"name": "x", "sha256": "0" * 64, "window": [3, 0, 3, 9]}}, "holds no pixel"),
    ({"only": {"name": "x", "sha256": "0", "window": [0, 0, 3, 9]}}, "only.sha256"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        requests.parse({"task": "crop", "data": "set", **fields})
    assert sentence in str(refused.value)
