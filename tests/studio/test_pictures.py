"""From a painted view to a mask of full size, from a manifest row to what the page says of it."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing
from pipelines.core.queue import Owner
from pipelines.core.requests import parse
from studio import i18n, results
from studio import pictures as seen
from studio.canvas import Area
from studio.context import Context
from tests import pictures

SAY = i18n.language()


@pytest.fixture
def context(runs: Path) -> Context:
    return Context.open(runs)


def part(context: Context, height: int = 72, width: int = 96, name: str = "part.png") -> Asset:
    return context.assets.put(images.encode_png(pictures.good(height, width)), name)


def area(mask: np.ndarray, defect: str = "", severity: float | None = None) -> Area:
    return Area(images.encode_png(mask), defect, severity)


def test_a_mask_painted_at_the_pictures_size_is_kept_to_the_pixel(context: Context) -> None:
    mask = pictures.line()
    assert (seen.full_size(area(mask), part(context)) == mask).all()


@pytest.mark.parametrize(("height", "width"), [(144, 192), (216, 288), (100, 133)])
def test_a_mask_painted_on_a_smaller_view_is_scaled_nearest(context: Context, height: int, width: int) -> None:
    mask = pictures.disc(72, 96)
    large = seen.full_size(area(mask), part(context, height, width))
    assert large.shape == (height, width)
    y, x = np.mgrid[:height, :width]
    nearest = mask[((y + 0.5) * 72 / height).astype(int), ((x + 0.5) * 96 / width).astype(int)]
    assert np.count_nonzero(large != nearest) <= height * width * 0.001


def test_a_mask_of_another_picture_is_refused(context: Context) -> None:
    with pytest.raises(BadInput, match=re.escape("(96 × 72) is not of part.png (60 × 80): open the picture again")):
        seen.full_size(area(pictures.disc()), part(context, 80, 60))


def test_what_is_no_mask_is_refused(context: Context) -> None:
    with pytest.raises(BadInput, match="the painted mask"):
        seen.full_size(Area(b"\x89PNG\r\n\x1a\nrubbish", "", None), part(context))


def test_a_mask_that_was_there_before_is_that_mask_still(context: Context) -> None:
    large = part(context, 720, 960)
    thin = np.zeros((720, 960), bool)
    thin[100:500, 301] = True
    known = context.assets.put(images.encode_png(thin), "by-hand.png").id
    view = np.zeros((72, 96), bool)
    view[10:50, 30] = True
    other = view.copy()
    other[60, 60] = True
    assert seen.keep_masks(context, (area(view),), large, was=[known]) == [known]
    assert seen.keep_masks(context, (area(other),), large, was=[known, "asset-" + "0" * 20]) != [known]
    assert seen.keep_masks(context, (area(view),), large) != [known]


def test_a_browser_is_given_what_it_can_show(context: Context) -> None:
    small, large = part(context), part(context, 40, 2050)
    assert seen.address(small) == f"/files/{small.id}/part.png"
    assert seen.address(large) == f"/files/{large.id}/part.png?side=2048"
    ok, tiff = cv2.imencode(".tif", pictures.good(bits=16, grey=True))
    assert ok
    assert seen.address(context.assets.put(tiff.tobytes(), "part 1#.tif")).endswith("/part%201%23.tif?side=2048")


def test_a_file_that_is_no_picture_does_not_come_onto_the_canvas(context: Context) -> None:
    with pytest.raises(BadInput, match=r"notes\.txt is no picture"):
        seen.shown(context.assets.put(b"words", "notes.txt"))


def test_every_sample_opens(context: Context) -> None:
    strip = seen.strip(SAY)
    assert [one["id"] for one in strip] == list(seen.samples())
    for one in strip:
        shown = seen.shown(seen.take_sample(context, one["id"]))
        assert min(shown.width, shown.height) >= 256
        assert one["thumb"].startswith("data:image/jpeg;base64,")
    with pytest.raises(BadInput, match=r"no sample '\.\./secret'"):
        seen.take_sample(context, "../secret")


@pytest.mark.parametrize(
    ("scores", "tones", "words"),
    [
        ((0, 0.6, 3.0), ["good", "good", "good"], ["Nothing else was touched", "60 %", "Clearly visible"]),
        ((4, 0.01, 1.5), ["bad", "warn", "warn"], ["outside the painted area", "Hardly fills", "Faint"]),
        ((0, 0.3, 1.0), ["good", "good", "warn"], ["Nothing else", "30 %", "Hard to see"]),
    ],
)
def test_scores_are_said_in_plain_words(scores: tuple[float, ...], tones: list[str], words: list[str]) -> None:
    facts = results.facts(SAY, dict(zip(("outside_max", "fidelity", "visibility"), scores, strict=True)))
    assert [fact["tone"] for fact in facts] == tones
    for fact, word in zip(facts, words, strict=True):
        assert word in fact["text"]


def finished(context: Context, count: int) -> str:
    """A run whose items were committed as a worker commits them; its pictures are bare files."""
    asset = part(context)
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    request = parse({"task": "inpaint", "image": asset.id, "mask": mask, "defect": "dent", "num_images": count})
    me = Owner.me()
    run = context.queue.submit(request, owner=me)
    for index in range(count):
        stem = f"{index:05d}"
        images_folder = context.runs / run / "images"
        images_folder.mkdir(parents=True, exist_ok=True)
        images.write_png(images_folder / f"{stem}.png", pictures.good())
        scores = {"outside_max": 0, "fidelity": 0.5, "visibility": 3.0}
        row = {
            "file": f"images/{stem}.png",
            "mask": f"masks/{stem}.png",
            "thumb": f"thumbs/{stem}.jpg",
            "source": {"asset": asset.id, "name": asset.name, "sha256": asset.sha256},
            "scores": scores,
        }
        context.queue.start_item(run, me, index)
        context.queue.finish_item(run, me, index, row)
    context.queue.end(run, me, "done")
    return run


def test_a_runs_pictures_are_shown_with_their_verdicts(context: Context) -> None:
    run = finished(context, 3)
    results.judge(context, {f"{run}/00001": "kept"})
    found = results.comparison(context, SAY, context.queue.get(run))
    assert [item["verdict"] for item in found["items"]] == ["", "kept", ""]
    assert found["items"][1]["after"] == f"/files/{run}/images/00001.png"
    assert found["items"][1]["before"].startswith("/files/asset-")
    json.dumps(found)


def test_kept_is_counted_by_run_and_taken_back(context: Context) -> None:
    first, second = finished(context, 2), finished(context, 1)
    for run, stem in ((first, "00000"), (first, "00001"), (second, "00000")):
        results.judge(context, {f"{run}/{stem}": "kept"})
    assert results.kept(context) == {first: 2, second: 1}
    results.judge(context, {f"{first}/00000": "", f"{second}/00000": "discarded"})
    assert results.kept(context) == {first: 1}


@pytest.mark.parametrize("stem", ["../../request", "..", "/etc/passwd", "00009", "a/b", ""])
def test_only_a_picture_of_the_run_can_be_judged(context: Context, stem: str) -> None:
    run = finished(context, 1)
    with pytest.raises((BadInput, Missing)):
        results.judge(context, {f"{run}/{stem}": "kept"})
    assert results.kept(context) == {}


def test_only_a_run_that_is_there_can_be_judged_and_only_in_known_words(context: Context) -> None:
    run = finished(context, 1)
    for wrong in ("../assets", "nothing", ""):
        with pytest.raises(Missing):
            results.judge(context, {f"{wrong}/00000": "kept"})
    with pytest.raises(BadInput, match="verdict 'loved': choose kept, discarded or deleted"):
        results.judge(context, {f"{run}/00000": "loved"})


def test_a_run_that_makes_no_pictures_has_nothing_to_compare(context: Context) -> None:
    run = finished(context, 1)
    export = context.queue.submit(parse({"task": "export", "data": [run]}))
    assert results.comparison(context, SAY, context.queue.get(export)) == {"run": "", "items": []}
    assert results.comparison(context, SAY, None) == {"run": "", "items": []}
    with pytest.raises(Missing, match=r"no export\.zip"):
        results.download(context, context.queue.get(export))
