"""Runs' folders read as samples: what counts, in which order, and what is said about a folder that is not whole."""

import json
from pathlib import Path

import pytest

from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.parts.datasets import load_runs
from tests import pictures
from tests.runs import review, write

DISC, LINE = pictures.disc(), pictures.line()


def test_samples_come_in_the_order_asked_and_made(runs: Path) -> None:
    write(runs, "b", [[("scratch", LINE)]])
    write(runs, "a", [[("hole", DISC)], [("hole", DISC), ("scratch", LINE), ("hole", LINE)]])
    samples = load_runs(["b", "a"], runs, kept_only=False)
    assert [sample.image.relative_to(runs).as_posix() for sample in samples] == [
        "b/images/00000.png",
        "a/images/00000.png",
        "a/images/00001.png",
    ]
    assert [sample.defects for sample in samples] == [("scratch",), ("hole",), ("hole", "scratch")]
    assert len(samples[2].regions) == 3
    assert samples[0].regions[0].mask == samples[0].mask
    assert samples[0].source == samples[1].source  # the same content under the same name
    assert samples[1].facts["seed"] == 0


def test_discarded_pictures_stay_out_and_unjudged_ones_where_only_kept_are_asked(runs: Path) -> None:
    folder = write(runs, "a", [[("hole", DISC)]] * 3)
    review(folder, _00000="kept", _00001="discarded")
    assert [sample.image.stem for sample in load_runs(["a"], runs, kept_only=False)] == ["00000", "00002"]
    assert [sample.image.stem for sample in load_runs(["a"], runs, kept_only=True)] == ["00000"]


def test_a_folder_elsewhere_is_read_by_its_path(runs: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "other", "a", [[("hole", DISC)]])
    (sample,) = load_runs([str(folder)], runs, kept_only=False)
    assert sample.source is not None
    assert sample.source.path().is_file()


def test_what_was_made_from_words_is_its_own_origin(runs: Path) -> None:
    folder = write(runs, "a", [[("hole", DISC)]] * 2)
    manifest = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps({**row, "source": None}) + "\n" for row in rows))
    one, other = load_runs(["a"], runs, kept_only=False)
    assert one.origin != other.origin


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (["nowhere"], Missing, "no run 'nowhere'"),
        (["../runs/a", "a"], BadInput, "twice"),
        (["empty"], Missing, "no manifest.jsonl"),
    ],
)
def test_a_run_that_cannot_be_read_is_named(
    runs: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], error: type[Problem], words: str
) -> None:
    write(runs, "a", [[("hole", DISC)]])
    (runs / "empty").mkdir()
    monkeypatch.chdir(runs)
    with pytest.raises(error, match=words):
        load_runs(asked, runs, kept_only=False)


@pytest.mark.parametrize("kept_only", [True, False])
def test_nothing_to_export_says_what_would_do(runs: Path, kept_only: bool) -> None:
    folder = write(runs, "a", [[("hole", DISC)]])
    if not kept_only:
        review(folder, _00000="discarded")
    with pytest.raises(BadInput, match="kept_only = false" if kept_only else "generate some"):
        load_runs(["a"], runs, kept_only=kept_only)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"file": "images/00000.png"', "line 1 of manifest.jsonl in run a is not JSON"),
        ("[]", "names no file"),
        ('{"file": "images/00000.png", "mask": "masks/00000.png"}', "lacks 'regions'"),
        ('{"file": "images/00000.png", "mask": "masks/00000.png", "regions": []}', "lists no region"),
        ('{"file": "images/00000.png", "mask": "masks/00000.png", "regions": 7}', "not as a run writes it"),
        ('{"file": "../../etc/passwd", "mask": "masks/00000.png", "regions": []}', "leads out of its folder"),
        ('{"file": "images/00009.png", "mask": "masks/00000.png", "regions": []}', "images/00009.png of run a is gone"),
    ],
)
def test_a_manifest_that_is_not_whole_is_refused(runs: Path, line: str, words: str) -> None:
    folder = write(runs, "a", [[("hole", DISC)]])
    (folder / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(Problem, match=words):
        load_runs(["a"], runs, kept_only=False)


def test_only_the_pictures_named_come_and_never_a_discarded_one(runs: Path) -> None:
    review(write(runs, "a", [[("hole", DISC)]] * 3), _00001="discarded", _00002="deleted")
    write(runs, "b", [[("hole", DISC)]] * 2)
    only = ("a/00000", "a/00001", "a/00002", "b/00001")
    found = load_runs(["a", "b"], runs, kept_only=False, only=only)
    assert [f"{sample.run}/{sample.image.stem}" for sample in found] == ["a/00000", "b/00001"]
    with pytest.raises(BadInput, match="data does not name the run b"):
        load_runs(["a"], runs, kept_only=False, only=only)
    with pytest.raises(BadInput, match="the pictures named are discarded, or not there"):
        load_runs(["a"], runs, kept_only=False, only=("a/00001",))
