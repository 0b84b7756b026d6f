"""Pages of finished pictures, verdicts with their undo, facts, and the data set that a choice becomes."""

import json
import shutil
import time
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import images, requests
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.gallery import Filter, Gallery, Picture
from pipelines.core.runs import PREVIEW_S, Run
from pipelines.worker import Worker
from studio import api, i18n, results, review
from studio.context import Context
from studio.tabs import pack
from studio.tabs.review import emptied, wanted
from tests import pictures

SAY = i18n.language()
EVERY = Filter()
FORM = ("mvtec", "nut", 70, 10, 20, True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Three runs over two source pictures, really drawn: 2 dents, 3 holes, 1 picture with both."""
    context = Context.open(tmp_path_factory.mktemp("made") / "runs")
    one, other = (context.assets.put(images.encode_png(pictures.good(seed=k)), f"part {k}.png").id for k in (1, 2))
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    areas = [{"mask": mask, "defect": "dent", "severity": 0.9}, {"mask": mask, "defect": "hole", "severity": 0.4}]
    for image, fields in (
        (one, {"mask": mask, "defect": "dent", "num_images": 2, "severity": 0.9}),
        (other, {"mask": mask, "defect": "hole", "num_images": 3}),
        (one, {"regions": areas, "seed": 7}),
    ):
        api.submit(context, {"task": "inpaint", "image": image, **fields})
    work(context)
    return context


@pytest.fixture
def context(made: Context) -> Context:
    """The same, with nothing decided."""
    for found in made.runs.glob("*/review.json"):
        found.unlink()
    return made


@pytest.fixture
def gallery(context: Context) -> Gallery:
    return Gallery(context.runs)


def work(context: Context) -> None:
    with Worker(context.runs, "cpu", ("cpu",)) as worker:
        while row := worker.queue.claim(worker.owner, worker.lanes):
            worker.serve(row)


def ids(gallery: Gallery, asked: Filter = EVERY) -> list[str]:
    return [item["id"] for item in review.page(gallery, SAY, asked)["items"]]


def leaving(context: Context, gallery: Gallery, asked: Filter = EVERY, *named: str) -> tuple[Picture, ...]:
    return review.leaving(context, gallery, asked, named)


def test_a_page_shows_the_newest_first_with_title_and_source(context: Context, gallery: Gallery) -> None:
    page = review.page(gallery, SAY, Filter())
    assert (page["total"], page["newer"], page["older"]) == (6, False, False)
    assert [item["title"] for item in page["items"]] == ["Dent + Hole", *["Hole"] * 3, *["Dent"] * 2]
    assert [item["source"] for item in page["items"]] == ["part 1.png", *["part 2.png"] * 3, *["part 1.png"] * 2]
    for item in page["items"]:
        assert (context.runs / item["thumb"].removeprefix("/files/")).is_file()


def test_pages_turn_both_ways_and_meet(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "PAGE", 4)
    first = review.page(gallery, SAY, Filter())
    second = review.page(gallery, SAY, Filter(), before=first["items"][-1]["key"])
    again = review.page(gallery, SAY, Filter(), after=second["items"][0]["key"])
    assert (first["first"], first["older"], second["first"], second["newer"], second["older"]) == (
        0,
        True,
        4,
        True,
        False,
    )
    assert [len(page["items"]) for page in (first, second)] == [4, 2]
    assert again["items"] == first["items"]


def test_a_page_that_was_judged_away_meanwhile_leads_to_the_first(context: Context, gallery: Gallery) -> None:
    asked = Filter(verdict="undecided")
    last = review.page(gallery, SAY, asked)["items"][-1]["key"]
    assert len(review.page(gallery, SAY, asked, before=last)["items"]) == 6


def test_verdicts_reach_review_json_and_are_taken_back(context: Context, gallery: Gallery) -> None:
    first, second, third, *_ = ids(gallery)
    review.judge(context, gallery, {first: "kept", second: "discarded", third: "deleted"})
    run, _, stem = first.partition("/")
    assert json.loads((context.runs / run / "review.json").read_text()) == {stem: "kept"}
    assert [ids(gallery, Filter(verdict=verdict)) for verdict in ("kept", "discarded", "deleted")] == [
        [first],
        [second],
        [third],
    ]
    assert third not in ids(gallery)
    review.judge(context, gallery, {first: "", second: "kept", third: ""})
    assert ids(gallery, Filter(verdict="kept")) == [second]
    assert len(ids(gallery)) == 6


def test_what_was_deleted_keeps_its_files_and_leaves_paints_view(context: Context, gallery: Gallery) -> None:
    gone = ids(gallery)[1]
    run, _, stem = gone.partition("/")
    review.judge(context, gallery, {gone: "deleted"})
    assert (context.runs / run / "images" / f"{stem}.png").is_file()
    assert stem not in [item["stem"] for item in results.comparison(context, SAY, context.queue.get(run))["items"]]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"20260101-000000-aaaaaa/00000": "kept"}, Missing, "no run"),
        ({"../../x/00000": "kept"}, Missing, "no run"),
        ({"HERE/../../../x": "kept"}, BadInput, "leads out"),
        ({"HERE/00009": "kept"}, Missing, "has no picture 00009"),
        ({"HERE/00000": "loved"}, BadInput, "choose kept, discarded or deleted"),
    ],
)
def test_a_verdict_on_nothing_is_refused(
    context: Context, gallery: Gallery, changes: dict[str, str], error: type[Exception], words: str
) -> None:
    run = context.queue.newest()[0].id
    with pytest.raises(error, match=words):
        review.judge(context, gallery, {id.replace("HERE", run): verdict for id, verdict in changes.items()})


def test_the_controls_become_a_filter(gallery: Gallery) -> None:
    found = wanted(["kept", "dent", "ab", "", "2026-01-31", "2026-01-31", "1,5", "", None, " 0.4"])
    assert (found.verdict, found.defect, found.source, found.run) == ("kept", "dent", "ab", "")
    assert (found.visibility, found.fidelity) == ((1.5, None), (None, 0.4))
    assert found.since == datetime(2026, 1, 31).timestamp()
    assert found.until == pytest.approx(datetime(2026, 2, 1).timestamp(), abs=0.01)
    with pytest.raises(BadInput, match="is no date: write it as 2026-01-31"):
        wanted(["", "", "", "", "yesterday", None, None, None, None, None])
    with pytest.raises(BadInput, match="'much' is no number: write it as"):
        wanted(["", "", "", "", None, None, "much", None, None, None])


def test_menus_count_what_there_is(context: Context, gallery: Gallery) -> None:
    found = review.choices(gallery, SAY)
    assert found["defect"][1:] == [("Dent (3)", "dent"), ("Hole (4)", "hole")]
    assert [label for label, _ in found["source"][1:]] == ["part 1.png (3)", "part 2.png (3)"]
    assert [value for _, value in found["run"][1:]] == [row.id for row in context.queue.newest()]
    review.judge(context, gallery, {ids(gallery)[0]: "kept"})
    labels = [label for label, _ in review.verdict_choices(gallery, SAY, Filter(verdict="kept", defect="hole"))]
    assert labels == ["All 4", "Undecided 3", "Kept 1", "Discarded 0", "Deleted 0"]


def test_the_facts_of_a_picture_hold_the_request_that_makes_it_again(context: Context, gallery: Gallery) -> None:
    both = review.facts(context, SAY, gallery, ids(gallery)[0])
    lines = {line["name"]: line["text"] for line in both["lines"]}
    assert (lines["Severity"], lines["Source"], lines["Drawn by"]) == ("90 %, 40 %", "part 1.png", "procedural")
    newest = ids(gallery, Filter(defect="hole"))[1]
    facts = review.facts(context, SAY, gallery, newest)
    run, _, stem = newest.partition("/")
    assert facts["request"] == images.read_request(context.runs / run / "images" / f"{stem}.png")


def test_the_closer_look_opens_at_the_picture_and_holds_the_page(context: Context, gallery: Gallery) -> None:
    names = ids(gallery)
    review.judge(context, gallery, {names[2]: "kept"})
    found = review.comparison(context, SAY, gallery, names, names[2])
    assert found["index"] == 2
    assert [f"{item['run']}/{item['stem']}" for item in found["items"]] == names
    assert [item["verdict"] for item in found["items"]] == ["", "", "kept", "", "", ""]


def test_a_picture_sent_here_is_opened_among_those_of_its_run(context: Context, gallery: Gallery) -> None:
    run = next(row.id for row in context.queue.newest() if row.total == 3)
    found = review.of_run(context, SAY, gallery, run, "00001")
    assert [item["stem"] for item in found["items"]] == ["00000", "00001", "00002"]
    assert {item["run"] for item in found["items"]} == {run}
    assert found["index"] == 1
    with pytest.raises(Missing):
        review.of_run(context, SAY, gallery, run, "00007")


def test_a_result_whose_source_is_gone_stands_alone_with_a_sentence(context: Context, gallery: Gallery) -> None:
    run = context.queue.newest()[0]
    source = context.assets.get(str(run.request["image"])).path.parent
    away = source.rename(source.with_name("away"))
    try:
        (item,) = results.comparison(context, SAY, run)["items"]
        (closer,) = review.comparison(context, SAY, gallery, ids(gallery)[:1], "")["items"]
    finally:
        away.rename(source)
    assert item == closer
    assert (item["before"], item["exact"]) == ("", [])
    assert item["note"] == SAY("results.no_source")
    assert item["after"].endswith("/00000.png?side=2048")


def test_only_what_was_confirmed_is_emptied(made: Context, runs: Path) -> None:
    # The index is made anew; SQLite takes files of it away whenever a gallery of another test is forgotten.
    shutil.copytree(made.runs, runs, dirs_exist_ok=True, ignore=shutil.ignore_patterns("gallery.db*"))
    context, gallery = Context.open(runs), Gallery(runs)
    first, second, *_ = ids(gallery)
    review.judge(context, gallery, {first: "deleted", second: "deleted"})
    assert review.page(gallery, SAY, Filter(verdict="deleted"))["held"] == 2
    with pytest.raises(Problem, match="the trash holds 2 pictures now, not 3: look again"):
        review.empty(context, gallery, 3)
    freed = review.empty(context, gallery, 2)
    assert "2 pictures" in emptied(SAY, freed)
    assert review.page(gallery, SAY, Filter(verdict="deleted"))["total"] == 0
    assert not {first, second} & set(ids(gallery))
    for id in (first, second):
        run = context.queue.get(id.partition("/")[0])
        stem = id.partition("/")[2]
        assert stem not in [item["stem"] for item in results.comparison(context, SAY, run)["items"]]
        assert f"/files/{run.id}/images/{stem}.png" not in api.described(context, run)["images"]


def test_a_run_that_has_finished_nothing_shows_what_it_does(runs: Path) -> None:
    context = Context.open(runs)
    part = context.assets.put(images.encode_png(pictures.good()), "part.png")
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    run = api.submit(context, {"task": "inpaint", "image": part.id, "mask": mask, "defect": "dent", "num_images": 2})
    found = results.comparison(context, SAY, context.queue.get(run))
    assert (found["items"], found["state"], found["doing"]) == ([], "queued", "Waiting for a worker")
    assert found["preview"] == f"/files/{part.id}/part.png"
    with Worker(context.runs, "cpu", ("cpu",)) as worker:
        row = worker.queue.claim(worker.owner, worker.lanes)
        assert row
        hand = Run(worker.queue, run, requests.parse(row.request), worker.owner)
        hand.tick(0, 2, "picture 1 of 2", preview=pictures.good())
        drawn = results.comparison(context, SAY, context.queue.get(run))
        time.sleep(PREVIEW_S)
        hand.tick(0, 2, "picture 1 of 2", preview=pictures.good(seed=2), force=True)
        later = results.comparison(context, SAY, context.queue.get(run))
    assert (drawn["state"], drawn["doing"]) == ("running", "Picture 1 of 2")
    assert drawn["preview"].startswith(f"/files/{run}/preview.jpg?at=")
    assert later["preview"] != drawn["preview"]


def test_only_what_may_leave_is_counted(context: Context, gallery: Gallery) -> None:
    first, second, third, *_ = ids(gallery)
    review.judge(context, gallery, {first: "kept", second: "discarded", third: "deleted"})
    found = review.chosen(context, gallery, Filter(), [first, second, third])
    assert (found.leaving, found.rejected, found.unfinished) == (1, 2, 0)
    assert [one.id for one in leaving(context, gallery, Filter(), first, second, third)] == [first]
    text = pack.preview(SAY, found, 3, FORM)
    assert "1 picture chosen" in text
    assert "2 discarded or deleted stay out" in text
    assert pack.does(SAY, found) == "Export 1 picture"


def test_pictures_of_a_run_that_has_not_ended_wait(context: Context, gallery: Gallery) -> None:
    run = context.queue.newest()[0].id
    manifest = context.runs / run / "manifest.jsonl"
    content = manifest.read_bytes()
    manifest.unlink()
    found = review.chosen(context, gallery, Filter(), ids(gallery))
    gone = leaving(context, gallery)
    manifest.write_bytes(content)
    assert (found.leaving, found.unfinished, len(gone)) == (5, 1, 5)


@pytest.mark.parametrize("format", requests.FORMATS)
def test_the_tree_on_the_page_is_the_tree_in_the_zip(context: Context, gallery: Gallery, format: str) -> None:
    names = ids(gallery)[1:]
    going = leaving(context, gallery, Filter(), *names)
    form = pack.fields((format, *FORM[1:]))
    data = review.export_request(going, Filter(), names, form)
    run = api.submit(context, data)
    work(context)
    request = requests.parse(data)
    assert isinstance(request, requests.Export)
    with zipfile.ZipFile(context.runs / run / "export.zip") as packed:
        files = [name for name in packed.namelist() if not name.endswith("/")]
    counted = Counter(f"{name.rpartition('/')[0]}/" if "/" in name else name for name in files)
    plan = review.plan(review.chosen(context, gallery, Filter(), names).leaves, request)
    assert plan.tree == counted
    review.judge(
        context, gallery, {ids(gallery)[0]: "discarded"}
    )  # then the whole list, counted in groups, is the same
    assert review.plan(review.chosen(context, gallery, Filter(), []).leaves, request) == plan
    assert json.loads((context.runs / run / "result.json").read_text())["images"] == 5


def test_everything_kept_is_asked_for_without_a_list(context: Context, gallery: Gallery) -> None:
    names = ids(gallery)
    review.judge(context, gallery, dict.fromkeys(names[:4], "kept"))
    kept = Filter(verdict="kept")
    data = review.export_request(leaving(context, gallery, kept), kept, [], pack.fields(FORM))
    assert (data["kept_only"], data["only"], len(data["data"])) == (True, [], 2)
    narrow = Filter(verdict="kept", defect="dent")
    data = review.export_request(leaving(context, gallery, narrow), narrow, [], pack.fields(FORM))
    assert (data["kept_only"], data["only"]) == (False, names[:1])
    with pytest.raises(BadInput, match="nothing to export"):
        review.export_request((), kept, [], pack.fields(FORM))


def test_shares_that_do_not_add_up_are_said_instead_of_a_tree(context: Context, gallery: Gallery) -> None:
    found = review.chosen(context, gallery, Filter(), [])
    text = pack.preview(SAY, found, 0, ("mvtec", "nut", 70, 10, 30, True))
    assert "the shares must add up to 1" in text
    assert "pack-tree" not in text


def test_a_name_that_is_html_stays_text(context: Context, gallery: Gallery) -> None:
    values: Any = ("mvtec", "<b>nut</b>", 70, 10, 20, True)
    assert "<b>nut" not in pack.preview(SAY, review.chosen(context, gallery, Filter(), []), 0, values)


def test_a_stopped_runs_pictures_can_leave(runs: Path) -> None:
    context = Context.open(runs)
    part = context.assets.put(images.encode_png(pictures.good()), "part.png").id
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    run = api.submit(context, {"task": "inpaint", "image": part, "mask": mask, "defect": "dent", "num_images": 3})
    with Worker(context.runs, "cpu", ("cpu",)) as worker:
        row = worker.queue.claim(worker.owner, worker.lanes)
        assert row
        context.queue.stop(run)
        worker.serve(row)
    assert context.queue.get(run).state == "cancelled"
    assert (runs / run / "manifest.jsonl").is_file()
