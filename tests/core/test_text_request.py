"""The text request: what it takes and refuses, and how folders, prompt files and trainings are unfolded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, requests, unfold
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.projects import Projects
from pipelines.core.requests import Text, parse

GOOD: dict[str, Any] = {"task": "text", "base": "sd15", "prompt": "a dent"}


def text(**fields: Any) -> Text:
    found = parse({**GOOD, **fields})
    assert isinstance(found, Text)
    return found


REFUSED = [
    ({"base": None}, "base is missing: name a diffusion base"),
    ({"base": "procedural"}, "draws defects into pictures and makes none"),
    ({"base": "sd15-inpaint"}, "base sd15-inpaint cannot do text, only inpaint: choose another base"),
    ({"mode": "edit", "image": "a.png"}, "base sd15 cannot do edit, only text, image: choose another base"),
    ({"mode": "text", "image": "a.png"}, "mode text takes no picture"),
    ({"mode": "image"}, "mode image needs a picture"),
    ({"prompt": ""}, "prompt is missing: say in words"),
    ({"prompts": ["a"]}, "prompt, prompts and prompt_file say the same thing"),
    ({"image": "a.png", "images": ["b.png"]}, "image is for one picture, images for several"),
    ({"start": 2}, "start and limit are for a folder of pictures"),
    ({"num_images": 100_001}, "num_images = 100001"),
    ({"prompt": "", "prompts": ["a", "b"], "num_images": 60_000}, "120000 pictures are too many for one run"),
    ({"seed": 2**32 - 1, "num_images": 2}, "passes 4294967295: choose a smaller seed"),
    ({"batch_size": 9}, "batch_size = 9: input should be less than or equal to 8"),
    ({"strength": 0}, "strength = 0"),
    ({"width": 8}, "width = 8"),
    ({"negative_preset": "ugly"}, "no list 'ugly' of negative words; there is none, photo, surface"),
    ({"scheduler": "magic"}, "scheduler = 'magic'"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_a_refusal_names_what_is_wrong_and_what_would_do(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        text(**fields)
    assert sentence in str(refused.value)


def test_what_is_done_follows_from_what_is_given() -> None:
    assert text().does == "text"
    assert text(image="a.png").does == "image"
    assert text(base="flux2-klein", image="a.png").does == "edit"


def test_the_pictures_go_by_source_then_prompt_then_variant() -> None:
    request = text(prompt="", prompts=["p", "q"], images=["a.png", "b.png"], num_images=2, seed=10)
    assert request.length() == 8
    found = [(one.image, one.prompt, one.seed) for one in map(request.for_image, range(8))]
    assert found[:4] == [("a.png", "p", 10), ("a.png", "p", 11), ("a.png", "q", 12), ("a.png", "q", 13)]
    assert found[4] == ("b.png", "p", 14)


def test_a_pictures_own_request_says_what_was_done_and_no_more_of_the_others() -> None:
    one = text(images=["a.png", "b.png"], num_images=3, batch_size=4).for_image(5)
    data = one.model_dump(mode="json")
    assert (data["image"], data["mode"], data["num_images"]) == ("b.png", "image", 1)
    assert not {"images", "prompts", "batch_size", "from_run", "start", "limit"} & set(data)
    assert parse(data).length() == 1


def test_it_needs_a_device_and_lets_few_pictures_go_first() -> None:
    assert text().lane() == "device"
    assert text(num_images=8).priority() > text(num_images=9).priority() > text(num_images=1001).priority()


def picture(path: Path, level: int = 100) -> Path:
    images.write_png(path, np.full((8, 8, 3), level, np.uint8))
    return path


def taken(runs: Path, **fields: Any) -> Text:
    found = intake.from_paths(text(**fields), Assets(runs))
    assert isinstance(found, Text)
    return found


def names(runs: Path, request: Text) -> list[str]:
    return [Assets(runs).get(one).name for one in request.images]


def test_a_folder_is_its_pictures_in_the_order_people_count(tmp_path: Path, runs: Path) -> None:
    for number in (1, 2, 10):
        picture(tmp_path / f"part{number}.png", number)
    (tmp_path / "list.txt").write_text("x")
    whole = taken(runs, images=str(tmp_path))
    assert names(runs, whole) == ["part1.png", "part2.png", "part10.png"]
    assert names(runs, taken(runs, image=str(tmp_path), start=1)) == ["part2.png", "part10.png"]
    assert names(runs, taken(runs, images=str(tmp_path), limit=1)) == ["part1.png"]
    with pytest.raises(BadInput, match="start = 3: there are only 3 pictures"):
        taken(runs, images=str(tmp_path), start=3)


def test_an_empty_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(BadInput, match="holds no picture"):
        taken(runs, images=str(tmp_path))
    with pytest.raises(BadInput, match=r"image: there is no file .*part\.png"):
        taken(runs, image=str(tmp_path / "part.png"))


def test_a_project_and_a_run_are_their_pictures_over_http(tmp_path: Path, runs: Path) -> None:
    assets, projects = Assets(runs), Projects(runs)
    one, two = (assets.put(picture(tmp_path / name, level), name) for name, level in (("a.png", 1), ("b.png", 2)))
    project = projects.create("parts")
    projects.add(project.id, [one, two])
    found = intake.from_web({**GOOD, "images": [project.id], "start": 1}, assets)
    assert isinstance(found, Text)
    assert found.images == (two.id,)
    run = runs / "20260101-000000-abcdef"
    (run / "images").mkdir(parents=True)
    for number in range(3):
        picture(run / "images" / f"{number:05d}.png", number)
    (run / "review.json").write_text(json.dumps({"00001": "discarded"}))
    found = intake.from_web({**GOOD, "images": run.name}, assets)
    assert isinstance(found, Text)
    assert names(runs, found) == ["00000.png", "00002.png"]
    assert names(runs, taken(runs, images=run.name)) == ["00000.png", "00002.png"]


@pytest.mark.parametrize("value", ["/etc", "..", "part.png"])
def test_over_http_no_path_of_this_machine_is_opened(runs: Path, value: str) -> None:
    with pytest.raises(BadInput, match="is no asset id"):
        intake.from_web({**GOOD, "images": [value]}, Assets(runs))
    with pytest.raises(BadInput, match="over HTTP send the lines themselves"):
        intake.from_web({**GOOD, "prompt": "", "prompt_file": value}, Assets(runs))
    with pytest.raises(Missing, match="there is no run"):
        intake.from_web({**GOOD, "from_run": value}, Assets(runs))


LINES = [
    (b"\xef\xbb\xbfa dent\r\n\r\n# no\r\n  a hole \r\n", ["a dent", "a hole"]),
    ("ein Kratzer\n划痕\n".encode(), ["ein Kratzer", "划痕"]),
]


@pytest.mark.parametrize(("data", "wanted"), LINES)
def test_each_line_of_a_prompt_file_is_a_prompt(tmp_path: Path, data: bytes, wanted: list[str]) -> None:
    (tmp_path / "prompts.txt").write_bytes(data)
    assert unfold.prompts(tmp_path / "prompts.txt") == wanted


NO_PROMPTS = [
    (b"# only this\n\n", "holds no prompt"),
    (b"\xff\xfe\x00", "not written in UTF-8"),
    (b"ok\n" + b"x" * 2001, "line 2 of prompts.txt has 2001 characters"),
    (b"x\n" * 10_001, "holds more than 10000 prompts"),
]


@pytest.mark.parametrize(("data", "sentence"), NO_PROMPTS, ids=[one for _, one in NO_PROMPTS])
def test_a_prompt_file_that_will_not_do_is_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "prompts.txt").write_bytes(data)
    with pytest.raises(BadInput, match=sentence):
        unfold.prompts(tmp_path / "prompts.txt")
    with pytest.raises(BadInput, match="there is no file"):
        unfold.prompts(tmp_path / "elsewhere.txt")


def test_what_was_unfolded_is_unfolded_no_more(tmp_path: Path, runs: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 7)
    once = taken(runs, images=str(tmp_path), limit=1)
    assert (once.limit, once.start) == (None, 0)
    assert intake.from_paths(once, Assets(runs)) == once
    assert requests.parse(once.model_dump(mode="json")) == once
