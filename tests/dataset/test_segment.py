"""The segment task from request to manifest: what is saved, what is reported, and that it leaves as a data set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Cancelled
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.segment import Segment
from pipelines.core.runs import Run
from pipelines.dataset import segment
from pipelines.parts.datasets import load_run
from tests import pictures

LEFT, RIGHT = pictures.disc(radius=9, at=(20, 30)), pictures.disc(radius=9, at=(75, 40))


def defective(mask: np.ndarray, seed: int = 1, **kind: Any) -> np.ndarray:
    picture = pictures.good(seed=seed, **kind)
    picture[mask] //= 2
    return picture


def ask(runs: Path, data: list[np.ndarray], clean: list[np.ndarray] | None = None, **fields: Any) -> Segment:
    store = Assets(runs)
    named = [store.put(images.encode_png(one), f"part {place}.png").id for place, one in enumerate(data)]
    good = [store.put(images.encode_png(one), f"good {place}.png").id for place, one in enumerate(clean or [])]
    return Segment(data=named, clean=good, **fields)


def begin(runs: Path, request: Segment) -> Run:
    queue, me = Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def done(runs: Path, request: Segment) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """The run's folder, its result and its rows."""
    run = begin(runs, request)
    segment.run(request, run, Models())
    return run.folder, json.loads((run.folder / "result.json").read_text()), run.rows()


def test_every_picture_is_kept_as_it_is_with_its_mask_beside_it(runs: Path) -> None:
    data = [defective(LEFT), defective(RIGHT, bits=16, grey=True)]
    clean = [pictures.good(), pictures.good(bits=16, grey=True)]
    folder, result, rows = done(runs, ask(runs, data, clean, defect="stain"))
    for row, pixels, mask in zip(rows, data, (LEFT, RIGHT), strict=True):
        assert np.array_equal(images.read(folder / row["file"]).pixels, pixels)
        found = images.read_mask(folder / row["mask"])
        assert (found & mask).sum() / (found | mask).sum() > 0.98
        assert row["defect"] == "stain"
    assert result == {"task": "segment", "images": 2, "method": "difference", "empty": [], "notes": []}


def test_defects_far_from_each_other_are_areas_of_their_own(runs: Path) -> None:
    folder, _, rows = done(runs, ask(runs, [defective(LEFT | RIGHT)], [pictures.good()]))
    first, second = (images.read_mask(folder / region["mask"]) for region in rows[0]["regions"])
    assert not (first & second).any()
    assert np.array_equal(first | second, images.read_mask(folder / rows[0]["mask"]))


def test_a_picture_without_a_find_is_saved_without_a_mask_and_reported(runs: Path) -> None:
    empty = np.full((72, 96, 3), 127, np.uint8)
    part = empty.copy()
    part[LEFT] = 30
    folder, result, rows = done(runs, ask(runs, [part, empty], method="grey"))
    assert result["empty"] == ["part 1.png"]
    assert result["notes"][0].startswith("part 1.png: nothing found")
    assert rows[1]["regions"] == []
    assert not (folder / "masks/00001.png").exists()


def test_what_was_found_can_leave_as_a_data_set(runs: Path) -> None:
    folder, _, _ = done(runs, ask(runs, [defective(LEFT), pictures.good(seed=2)], [pictures.good()] * 2, threshold=40))
    first = next(iter(load_run(folder)))
    assert first.defects == ("defect",)
    assert first.source is not None
    assert first.source.name == "good 0.png"


def test_the_picture_carries_the_request_that_finds_its_mask_again(runs: Path) -> None:
    asked = ask(runs, [defective(LEFT), defective(RIGHT)], [pictures.good()] * 2, minimum_area_px=5)
    folder, _, _ = done(runs, asked)
    carried = images.read_request(folder / "images/00001.png")
    assert carried is not None
    again = Segment.model_validate(carried)
    assert again.data == (asked.data[1],)
    assert again == asked.for_image(1)
    other, _, _ = done(runs, again)
    assert (other / "masks/00000.png").read_bytes() == (folder / "masks/00001.png").read_bytes()


def test_a_run_that_was_stopped_goes_on_where_it_was(runs: Path) -> None:
    request = ask(runs, [defective(LEFT), defective(RIGHT)], [pictures.good()] * 2)
    run = begin(runs, request)
    segment._found(request.for_image(0), run, 0, segment.segmenters.SEGMENTERS["difference"]())
    first = (run.folder / "images/00000.png").stat().st_mtime_ns
    segment.run(request, run, Models())
    assert (run.folder / "images/00000.png").stat().st_mtime_ns == first
    assert len(run.rows()) == 2


def test_stop_is_heard_between_two_pictures(runs: Path) -> None:
    request = ask(runs, [defective(LEFT)] * 3, [pictures.good()] * 3)
    run = begin(runs, request)
    Queue(runs).stop(run.id)
    with pytest.raises(Cancelled):
        segment.run(request, run, Models())
    assert not run.rows()


def test_clean_pictures_of_another_number_are_refused(runs: Path) -> None:
    request = ask(runs, [defective(LEFT), defective(RIGHT)], [pictures.good()])
    with pytest.raises(BadInput, match="clean has 1 pictures and data 2"):
        segment.run(request, begin(runs, request), Models())


def test_it_needs_no_device_and_one_picture_is_as_good_as_several(runs: Path) -> None:
    request = Segment.model_validate({"data": "part.png"})
    assert (request.data, request.length(), request.lane()) == (("part.png",), 1, "cpu")
