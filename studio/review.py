"""What the Review tab asks: pages of finished pictures, the facts of one, verdicts, and the data set a choice becomes.

Knows the index of pictures and manifest rows; nothing of Gradio.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, get_args

from pipelines.core import intake, kinds, layouts, requests, runs, splits
from pipelines.core.errors import BadInput, Missing
from pipelines.core.gallery import Filter, Gallery, Picture
from pipelines.core.layouts import LAYOUTS, Leaf
from pipelines.core.requests import Inpaint
from pipelines.core.requests.dataset import MOST_NAMED
from studio import results
from studio.context import Context

PAGE = 60
MOST_CHOICES = 300
VERDICTS: dict[str, runs.Verdict | None] = {"": None, **{verdict: verdict for verdict in get_args(runs.Verdict)}}


def page(gallery: Gallery, wanted: Filter, *, before: int | None = None, after: int | None = None) -> dict[str, Any]:
    """A page for the grid: the newest, those that follow the picture `before`, or lead up to `after`."""
    gallery.refresh()
    found = gallery.page(wanted, before=before, after=after, limit=PAGE)
    if not found and (before, after) != (None, None):  # what was there has been judged away meanwhile
        found = gallery.page(wanted, limit=PAGE)
    return {**_shown(gallery, wanted, found), "keep": (before, after) != (None, None)}


def again(gallery: Gallery, wanted: Filter, ids: Sequence[str], at: str) -> dict[str, Any]:
    """A page that was shown before, with what was decided since. Raises Missing."""
    gallery.refresh()
    return {**_shown(gallery, wanted, gallery.named(ids[:PAGE])), "keep": True, "at": at}


def _shown(gallery: Gallery, wanted: Filter, found: Sequence[Picture]) -> dict[str, Any]:
    """For the grid: the pictures, where they stand among how many, and whether there are others around them."""
    total = gallery.count(wanted)
    first = gallery.count(wanted, above=found[0].key) if found else 0
    return {
        "items": [_tile(one) for one in found],
        "total": total,
        "first": first,
        "newer": first > 0,
        "older": first + len(found) < total,
        "trash": wanted.verdict == "deleted",
        "drawn": time.time_ns(),  # the same page asked for again is a new value, so the grid hears of it
    }


def _tile(one: Picture) -> dict[str, Any]:
    return {
        "id": one.id,
        "key": one.key,
        "thumb": f"/files/{one.run}/thumbs/{one.stem}.jpg",
        "verdict": one.verdict,
        "title": titles(one.defects),
        "source": one.source_name or "",
    }


def titles(defects: Sequence[str]) -> str:
    """Kinds of defect as an inspector calls them; a kind that is no longer known goes by its id."""
    known = kinds.load()
    return " + ".join(known[defect].label if defect in known else defect for defect in defects)


def day(text: str | None, *, end: bool = False) -> float | None:
    """A date as seconds since 1970, at its beginning or at its end, by this machine's clock. Raises BadInput."""
    if not text:
        return None
    try:
        found = datetime.strptime(text.strip()[:10], "%Y-%m-%d")
    except ValueError as error:
        raise BadInput(f"{text[:40]!r} is no date: write it as 2026-01-31", "date") from error
    return (found + timedelta(days=1)).timestamp() - 1e-3 if end else found.timestamp()


def number(text: str | None) -> float | None:
    """A bound as it was typed, with a point or a comma; empty is none. Raises BadInput."""
    if not text or not text.strip():
        return None
    try:
        return float(text.strip().replace(",", "."))
    except ValueError as error:
        raise BadInput(f"{text[:40]!r} is no number: write it as 1.5, or leave it empty", "score") from error


def judge(context: Context, gallery: Gallery, changes: Mapping[str, str]) -> None:
    """Verdicts by picture id; "" takes one back. Raises BadInput, Missing."""
    by_run: dict[str, dict[str, runs.Verdict | None]] = {}
    for id, verdict in changes.items():
        if verdict not in VERDICTS:
            raise BadInput(f"verdict {verdict[:40]!r}: choose kept, discarded or deleted", "verdict")
        run, _, stem = id.partition("/")
        by_run.setdefault(context.queue.get(run).id, {})[stem] = VERDICTS[verdict]
    for run, found in by_run.items():
        runs.judge(context.runs / run, found)
    gallery.refresh()


def comparison(context: Context, gallery: Gallery, ids: Sequence[str], at: str) -> dict[str, Any]:
    """The pictures of a page for the before/after view, opened at one of them."""
    found = gallery.named(ids[:PAGE])
    items = [
        {**results.item(context, one.run, _row(context, one), {one.stem: one.verdict}), "run": one.run} for one in found
    ]
    index = next((place for place, one in enumerate(found) if one.id == at), 0)
    return {"run": f"{at} {time.time_ns()}", "items": items, "index": index}


def _row(context: Context, one: Picture) -> dict[str, Any]:
    rows = context.queue.rows(one.run, after=one.index - 1, limit=1)
    if not rows or rows[0]["file"] != f"images/{one.stem}.png":
        raise Missing(f"the job table no longer lists picture {one.id}: reload the page")
    return rows[0]


def facts(context: Context, gallery: Gallery, id: str) -> dict[str, Any]:
    """What is known of one picture, in an inspector's words, and the request that makes it again."""
    (one,) = gallery.named([id])
    row = _row(context, one)
    severities = [f"{100 * region['severity']:.0f} %" for region in row["regions"] if "severity" in region]
    asked = context.queue.get(one.run).request
    request = requests.parse(asked)
    return {
        "id": one.id,
        "title": titles(one.defects),
        "file": f"/files/{one.run}/images/{one.stem}.png",
        "verdict": one.verdict,
        "scores": results.facts(row["scores"]),
        "lines": [
            {"name": "Severity", "text": ", ".join(severities)},
            {"name": "Seed", "text": str(row["seed"])},
            {"name": "Source", "text": one.source_name or "made without a picture"},
            {"name": "Drawn by", "text": row["base"]},
            {"name": "Made", "text": datetime.fromtimestamp(one.made).strftime("%Y-%m-%d %H:%M")},
            {"name": "Run", "text": one.run},
        ],
        "request": intake.named(request.for_image(one.index), context.assets)
        if isinstance(request, Inpaint)
        else asked,
    }


@dataclass(frozen=True)
class Chosen:
    """What an export would hold: the pictures that leave, and why others of the choice stay."""

    leaving: tuple[Picture, ...]
    rejected: int
    """Discarded or deleted."""
    unfinished: int
    """Of runs that have not ended."""


def chosen(context: Context, gallery: Gallery, wanted: Filter, ids: Sequence[str]) -> Chosen:
    """The pictures named, or where none is named all that the filter finds, oldest first, as they leave."""
    found = gallery.named(ids) if ids else gallery.every(wanted)
    good = [one for one in found if one.verdict in ("", "kept")]
    ended = {run: (context.runs / run / "manifest.jsonl").is_file() for run in {one.run for one in good}}
    leaving = sorted((one for one in good if ended[one.run]), key=lambda one: one.key)
    return Chosen(tuple(leaving), len(found) - len(good), len(good) - len(leaving))


@dataclass(frozen=True)
class Plan:
    """The data set that would be written."""

    tree: layouts.Tree
    parts: Mapping[splits.Part, int]
    """Pictures with a defect in train, val and test."""
    notes: tuple[str, ...]


def plan(leaving: Sequence[Picture], export: requests.Export) -> Plan:
    """What the export task will make of these pictures: the same deal by source, the same places."""
    layout = LAYOUTS[export.format]
    leaves = [Leaf(one.source or one.id, one.defects, one.areas, one.source is not None) for one in leaving]
    groups = splits.grouped((leaf.origin, leaf.defects) for leaf in leaves)
    shares = export.split.shares()
    dealt = splits.deal(groups, shares, export.seed, first=layout.first)
    parts = {part: sum(dealt[leaf.origin] == part for leaf in leaves) for part in splits.PARTS}
    tree = layouts.tree(layout, leaves, dealt, export.name, pairs=export.pairs)
    return Plan(tree, parts, tuple(splits.shortfalls(dealt, groups, shares)))


def export_request(
    leaving: Sequence[Picture], wanted: Filter, ids: Sequence[str], form: Mapping[str, Any]
) -> dict[str, Any]:
    """The Export request, as data. All that was kept needs no list of pictures; any other choice names each.

    Raises BadInput.
    """
    if not leaving:
        raise BadInput("there is nothing to export: choose pictures that are not discarded", "data")
    everything_kept = not ids and wanted in (Filter(verdict="kept"), Filter(verdict="kept", run=wanted.run))
    if not everything_kept and len(leaving) > MOST_NAMED:
        raise BadInput(
            f"{len(leaving):,} pictures are more than the {MOST_NAMED:,} that can be named: narrow the choice, or keep "
            "what shall leave and export all that is kept",
            "only",
        )
    return {
        "task": "export",
        "data": list(dict.fromkeys(one.run for one in leaving)),
        "kept_only": everything_kept,
        "only": [] if everything_kept else [one.id for one in leaving],
        **form,
    }


def choices(gallery: Gallery) -> dict[str, list[tuple[str, str]]]:
    """(label, value) for the menus of defects, sources and runs, with how many pictures each has."""
    gallery.refresh()
    return {
        "defect": [("Any defect", ""), *((f"{titles([kind])} ({count})", kind) for kind, count in gallery.defects())],
        "source": [
            ("Any source picture", ""),
            *((f"{name} ({count})", sha256) for sha256, name, count in gallery.sources(MOST_CHOICES)),
        ],
        "run": [
            ("Any run", ""),
            *((f"{_when(run)} ({count})", run) for run, count in gallery.newest_runs(MOST_CHOICES)),
        ],
    }


def _when(run: str) -> str:
    """A run's id is when it was asked for, and a few letters that tell it from another of that second."""
    return f"{run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}:{run[13:15]} {run[16:]}"


def verdict_choices(gallery: Gallery, wanted: Filter) -> list[tuple[str, str]]:
    """(label with its count, value) of the verdicts, under the rest of the filter."""
    counts = gallery.verdicts(replace(wanted, verdict=""))
    named = {"undecided": "", "kept": "kept", "discarded": "discarded", "deleted": "deleted"}
    total = sum(count for verdict, count in counts.items() if verdict != "deleted")
    labels = {"undecided": "Undecided", "kept": "Kept", "discarded": "Discarded", "deleted": "Deleted"}
    return [
        (f"All {total:,}", ""),
        *((f"{labels[name]} {counts.get(found, 0):,}", name) for name, found in named.items()),
    ]
