"""The place task from request to files: masks beside good pictures, a map of them, and the same bytes after a kill."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Place
from pipelines.core.runs import Run
from pipelines.generate import place
from tests import pictures


def parts(folder: Path, count: int = 2, **kind: Any) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        images.write_png(folder / f"part {number}.png", pictures.good(seed=number, **kind))
    return folder


def real(root: Path) -> Path:
    """images/<hole|good> and masks/hole: discs at the left."""
    for number in range(4):
        for side in ("images", "masks"):
            (root / side / "hole").mkdir(parents=True, exist_ok=True)
        mask = pictures.disc(radius=4 + number, at=(20 + number, 20 + 8 * number))
        images.write_png(root / "images" / "hole" / f"{number}.png", pictures.good(seed=number))
        images.write_png(root / "masks" / "hole" / f"{number}.png", mask)
    return root


def asked(runs: Path, **fields: Any) -> Place:
    request = intake.from_paths(requests.parse({"task": "place", "defect": "hole", **fields}), Assets(runs))
    assert isinstance(request, Place)
    return request


def begin(runs: Path, request: Place) -> Run:
    queue, me = Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def done(runs: Path, request: Place) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """The run's folder, its result and its rows."""
    run = begin(runs, request)
    place.run(request, run, Models())
    return run.folder, json.loads((run.folder / "result.json").read_text(encoding="utf-8")), run.rows()


def left_behind(folder: Path) -> dict[str, bytes]:
    kept = [one for one in folder.rglob("*") if one.is_file() and one.name != "log.jsonl"]
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in kept}


@pytest.mark.parametrize("kind", [{}, {"bits": 16, "grey": True}], ids=str)
def test_every_picture_gets_its_masks_with_an_area_each(runs: Path, tmp_path: Path, kind: dict[str, Any]) -> None:
    good = parts(tmp_path / "good", **kind)
    folder, result, rows = done(runs, asked(runs, image=str(good), count=3, instances=[2, 2], size=[6, 16], seed=9))
    assert (result["masks"], result["instances"], result["notes"]) == (6, 12, [])
    assert [row["name"] for row in rows] == ["part 0.png"] * 3 + ["part 1.png"] * 3
    assert [row["seed"] for row in rows] == list(range(9, 15))
    for row in rows:
        whole = images.read_mask(folder / row["mask"], (72, 96))
        one, other = (images.read_mask(folder / region["mask"]) for region in row["regions"])
        assert np.array_equal(one | other, whole)
        assert not (one & other).any()
        assert [region["area_px"] for region in row["regions"]] == [one.sum(), other.sum()]
        top, left, bottom, right = row["regions"][0]["box"]
        assert one[top:bottom, left:right].sum() == one.sum()
    lines = (folder / "placements.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert images.read(folder / "heat.png").pixels.max() > 200
    assert images.read(folder / "sheet.png").width > 200


def test_real_defects_are_measured_and_followed(runs: Path, tmp_path: Path) -> None:
    good, root = parts(tmp_path / "good", 1), real(tmp_path / "set")
    request = asked(runs, image=str(good), count=12, data=str(root), where="as real", defect_class="hole")
    _, result, rows = done(runs, request)
    assert result["measured"] == 4
    facts = [region for row in rows for region in row["regions"]]
    assert all(6 <= one["length_px"] <= 20 and one["box"][3] < 60 for one in facts)
    assert {one["shape"] for one in facts} <= {f"{number}.png" for number in range(4)}
    with pytest.raises(BadInput, match="data has no class 'rust'; it has hole"):
        done(runs, asked(runs, image=str(good), data=str(root), defect_class="rust"))


def test_masks_keep_to_what_is_legal_and_not_illegal(runs: Path, tmp_path: Path) -> None:
    good = parts(tmp_path / "good", 1)
    legal, illegal = pictures.disc(radius=30), pictures.disc(radius=12)
    images.write_png(tmp_path / "legal.png", legal)
    images.write_png(tmp_path / "illegal.png", illegal)
    masks = {"legal": str(tmp_path / "legal.png"), "illegal": str(tmp_path / "illegal.png")}
    folder, _, rows = done(runs, asked(runs, image=str(good), count=5, size=[4, 9], **masks))
    for row in rows:
        assert not (images.read_mask(folder / row["mask"]) & ~(legal & ~illegal)).any()
    images.write_png(tmp_path / "legal.png", pictures.disc(40, 40, radius=9))
    with pytest.raises(BadInput, match=r"mask legal.png is 40 x 40 px and its picture 96 x 72"):
        done(runs, asked(runs, image=str(good), **masks))


def test_what_no_part_stands_out_of_is_said_once(runs: Path, tmp_path: Path) -> None:
    good = parts(tmp_path / "good", 1)
    _, result, _ = done(runs, asked(runs, image=str(good), count=3, where="foreground"))
    (note,) = result["notes"]
    assert note.startswith("part 0.png: no part stands before an even background")


class Killed(BaseException):
    """As a process dies: nothing that catches errors sees it."""


def test_a_run_that_was_killed_ends_with_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    good = parts(tmp_path / "good")
    request = asked(runs, image=str(good), count=3, instances=[1, 3], data=str(real(tmp_path / "set")))
    whole, *_ = done(runs, request)
    queue, me = Queue(runs), Owner.me()
    id = queue.submit(request, owner=me)
    for _ in range(2):
        left = iter(range(2))

        def between(left: Any = left) -> None:
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            place.run(request, Run(queue, id, request, me, between), Models())
    again = Run(queue, id, request, me)
    place.run(request, again, Models())
    first, second = left_behind(whole), left_behind(again.folder)
    assert first == second


def test_a_mask_that_was_placed_can_be_painted_into(runs: Path, tmp_path: Path) -> None:
    good = parts(tmp_path / "good", 1)
    folder, _, rows = done(runs, asked(runs, image=str(good)))
    data = {"task": "inpaint", "image": rows[0]["source"]["asset"], "mask": f"{folder.name}/{rows[0]['mask']}"}
    inpaint = intake.from_web({**data, "defect": "hole"}, Assets(runs))
    assert isinstance(inpaint, requests.Inpaint)
    assert inpaint.mask is not None
    assert Assets(runs).get(inpaint.mask).path.read_bytes() == (folder / rows[0]["mask"]).read_bytes()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"where": "as real"}, "where follows real defects and data is missing"),
    ({"shapes": "real"}, "shapes follows real defects and data is missing"),
    ({"angle": "as real"}, "angle follows real defects and data is missing"),
    ({"defect_class": "x"}, "defect_class 'x' is a class of data, which is missing"),
    ({"instances": [3, 2]}, "instances 3 to 2: the first is the least, swap them"),
    ({"size": [0.3, 0.2]}, "size 0.3 to 0.2: the first is the least"),
    ({"size": [0.3, 20]}, "size 0.3 to 20 mixes a share and pixels"),
    ({"data": "x", "shapes": "real", "brushes": "blob"}, "brushes draw library shapes"),
    ({"seed": 2**32 - 1, "count": 2}, "passes 4294967295"),
    ({"image": ["a.png", "b.png"], "count": 60_000}, "120000 masks are too many for one run"),
    ({"defect": "nothing"}, "no defect 'nothing'"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_cannot_be_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        requests.parse({**Place.skeleton, "task": "place", **fields})
    assert sentence in str(refused.value)


def test_one_mask_can_be_asked_for_by_itself() -> None:
    request = Place(image=("a.png", "b.png"), defect="hole", count=3, seed=4)
    alone = request.for_image(4)
    assert (alone.image, alone.count, alone.seed, alone.length(), request.length()) == (("b.png",), 1, 8, 1, 6)
    assert request.lane() == "cpu"
