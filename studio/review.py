"""What the Review tab asks: pages of finished pictures, the facts of one, verdicts, and the data set a choice becomes.

Knows the index of pictures and manifest rows; nothing of Gradio.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pipelines.core import files, images, intake, layouts, requests, splits, trash
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.gallery import Filter, Gallery, Picture
from pipelines.core.layouts import LAYOUTS, Leaf
from pipelines.core.requests import Batch, Dual, Painting, Request, Text
from pipelines.core.requests.dataset import MOST_NAMED
from studio import menu, results
from studio.context import Context
from studio.i18n import Language

PAGE = 60
MOST_CHOICES = 300
LEAVES = ("", "kept")
"""Verdicts of what an export may hold."""


def page(
    gallery: Gallery, say: Language, wanted: Filter, *, before: int | None = None, after: int | None = None
) -> dict[str, Any]:
    """A page for the grid: the newest, those that follow the picture `before`, or lead up to `after`."""
    gallery.refresh()
    found = gallery.page(wanted, before=before, after=after, limit=PAGE)
    if not found and (before, after) != (None, None):  # what was there has been judged away meanwhile
        found = gallery.page(wanted, limit=PAGE)
    return {**_shown(gallery, say, wanted, found), "keep": (before, after) != (None, None)}


def again(gallery: Gallery, say: Language, wanted: Filter, ids: Sequence[str], at: str) -> dict[str, Any]:
    """A page that was shown before, with what was decided since. Raises Missing."""
    gallery.refresh()
    return {**_shown(gallery, say, wanted, gallery.named(ids[:PAGE])), "keep": True, "at": at}


def _shown(gallery: Gallery, say: Language, wanted: Filter, found: Sequence[Picture]) -> dict[str, Any]:
    """For the grid: the pictures, where they stand among how many, and whether there are others around them."""
    total = gallery.count(wanted)
    first = gallery.count(wanted, above=found[0].key) if found else 0
    return {
        "items": [_tile(say, one) for one in found],
        "total": total,
        "first": first,
        "newer": first > 0,
        "older": first + len(found) < total,
        "trash": wanted.verdict == "deleted",
        "held": gallery.verdicts(Filter()).get("deleted", 0),
        "drawn": time.time_ns(),  # the same page asked for again is a new value, so the grid hears of it
    }


def _tile(say: Language, one: Picture) -> dict[str, Any]:
    return {
        "id": one.id,
        "key": one.key,
        "thumb": f"/files/{one.run}/thumbs/{one.stem}.jpg",
        "verdict": one.verdict,
        "title": titles(say, one.defects),
        "source": one.source_name or "",
    }


def titles(say: Language, defects: Sequence[str]) -> str:
    """Kinds of defect as an inspector calls them; of none, the picture was made whole."""
    if not defects:
        return say("review.whole")
    return " + ".join(menu.kind_label(say, defect) for defect in defects)


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
    results.judge(context, changes)
    gallery.refresh()


def empty(context: Context, gallery: Gallery, confirmed: int) -> trash.Freed:
    """Frees what was deleted, if it is what a person said yes to. Raises Problem."""
    gallery.refresh()
    count = gallery.verdicts(Filter()).get("deleted", 0)
    if count != confirmed:
        raise Problem(f"the trash holds {count:,} pictures now, not {confirmed:,}: look again before you empty it")
    freed = trash.empty(context.queue)
    gallery.retake(freed.runs)
    return freed


def comparison(context: Context, say: Language, gallery: Gallery, ids: Sequence[str], at: str) -> dict[str, Any]:
    """The pictures of a page for the before/after view, opened at one of them."""
    found = gallery.named(ids[: PAGE + 1])
    items = [results.item(context, say, one.run, _row(context, one), {one.stem: one.verdict}) for one in found]
    index = next((place for place, one in enumerate(found) if one.id == at), 0)
    return {"run": f"{at} {time.time_ns()}", "items": items, "index": index}


def of_run(context: Context, say: Language, gallery: Gallery, run: str, stem: str) -> dict[str, Any]:
    """The pictures of a run for the before/after view, opened at one of them: a page of them, around that one.

    Raises Missing.
    """
    gallery.refresh()
    (one,) = gallery.named([f"{run}/{stem}"])
    asked = Filter(run=run)
    newer, older = (
        gallery.page(asked, after=one.key, limit=PAGE // 2),
        gallery.page(asked, before=one.key, limit=PAGE // 2),
    )
    named = sorted([one, *newer, *older], key=lambda one: one.index)
    return comparison(context, say, gallery, [each.id for each in named], one.id)


def _row(context: Context, one: Picture) -> dict[str, Any]:
    rows = context.queue.rows(one.run, after=one.index - 1, limit=1)
    if not rows or rows[0]["file"] != f"images/{one.stem}.png":
        raise Missing(f"the job table no longer lists picture {one.id}: reload the page")
    return rows[0]


def facts(context: Context, say: Language, gallery: Gallery, id: str) -> dict[str, Any]:
    """What is known of one picture, in an inspector's words, and the request that makes it again."""
    (one,) = gallery.named([id])
    row = _row(context, one)
    asked = context.queue.get(one.run).request
    request = requests.parse(asked)
    return {
        "id": one.id,
        "title": titles(say, one.defects),
        "file": f"/files/{one.run}/images/{one.stem}.png",
        "verdict": one.verdict,
        "scores": results.seen(say, row) if "scores" in row else [],
        "lines": [
            *({"name": say(f"facts.{name}"), "text": text} for name, text in _said(row) if text),
            {"name": say("facts.seed"), "text": str(row["seed"])},
            {"name": say("facts.source"), "text": one.source_name or say("facts.no_source")},
            {"name": say("facts.base"), "text": row["base"]},
            {"name": say("facts.made"), "text": datetime.fromtimestamp(one.made).strftime("%Y-%m-%d %H:%M")},
            {"name": say("facts.run"), "text": one.run},
        ],
        "request": _made_by(context, one, request, asked),
    }


def _made_by(context: Context, one: Picture, request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request of this picture alone; of a batch, which may name a hundred thousand, the picture itself has it."""
    if isinstance(request, Painting | Text | Dual):
        return intake.named(request.for_image(one.index), context.assets)
    if isinstance(request, Batch):
        path = files.inside(context.runs / one.run, f"images/{one.stem}.png")
        return images.read_request(path, path.name) or asked
    return asked


def _said(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(word of the locales, text) of what was asked: how bad the defects are, or what a whole picture should show."""
    maps = ", ".join(f"{one['kind']} × {one['scale']:g} ({one['annotator']})" for one in row.get("conditions", ()))
    if row["regions"]:
        severities = [f"{100 * region['severity']:.0f} %" for region in row["regions"] if "severity" in region]
        return [("severity", ", ".join(severities)), ("maps", maps)]
    adapters = ", ".join(f"{one['name']} × {one['weight']:g}" for one in row.get("adapters", ()))
    words = [(name, str(row.get(name, ""))) for name in ("prompt", "negative_prompt")]
    return [*words, ("adapters", adapters), ("maps", maps)]


@dataclass(frozen=True)
class Chosen:
    """What an export would hold: the pictures that leave, and why others of the choice stay."""

    leaves: tuple[Leaf, ...]
    """Those that leave, counted where they are alike."""
    rejected: int
    """Discarded or deleted."""
    unfinished: int
    """Of runs that have not ended."""

    @property
    def leaving(self) -> int:
        return sum(leaf.count for leaf in self.leaves)


def chosen(context: Context, gallery: Gallery, wanted: Filter, ids: Sequence[str]) -> Chosen:
    """Of the pictures named, or where none is named of all that the filter finds."""
    found = [one.alone() for one in gallery.named(ids)] if ids else gallery.groups(wanted)
    ended = _ended(context, {one.run for one in found})
    leaves, rejected, unfinished = [], 0, 0
    for one in found:
        if one.verdict not in LEAVES:
            rejected += one.count
        elif one.run not in ended:
            unfinished += one.count
        else:
            origin = one.source or f"{one.run}/{one.stem}"
            paired = one.source is not None and bool(one.defects)
            leaves.append(Leaf(origin, one.defects, one.areas, paired, one.count))
    return Chosen(tuple(leaves), rejected, unfinished)


def leaving(context: Context, gallery: Gallery, wanted: Filter, ids: Sequence[str]) -> tuple[Picture, ...]:
    """Those of the choice that leave, picture by picture, oldest first."""
    found = gallery.named(ids) if ids else gallery.every(wanted)
    good = [one for one in found if one.verdict in LEAVES]
    ended = _ended(context, {one.run for one in good})
    return tuple(sorted((one for one in good if one.run in ended), key=lambda one: one.key))


def _ended(context: Context, runs: Iterable[str]) -> set[str]:
    """Those of these runs that have listed what they finished, as they do at their end."""
    return {run for run in runs if (context.runs / run / "manifest.jsonl").is_file()}


@dataclass(frozen=True)
class Plan:
    """The data set that would be written."""

    tree: layouts.Tree
    parts: Mapping[splits.Part, int]
    """Pictures with a defect in train, val and test."""
    notes: tuple[str, ...]


def plan(leaves: Sequence[Leaf], export: requests.Export) -> Plan:
    """What the export task will make of these pictures: the same deal by source, the same places."""
    layout = LAYOUTS[export.format]
    groups: dict[str, Counter[str]] = {origin: Counter() for origin in sorted({leaf.origin for leaf in leaves})}
    for leaf in leaves:
        groups[leaf.origin] += Counter(dict.fromkeys(leaf.defects, leaf.count))
    shares = export.split.shares()
    dealt = splits.deal(groups, shares, export.seed, first=layout.first)
    parts: Counter[splits.Part] = Counter(dict.fromkeys(splits.PARTS, 0))
    for leaf in leaves:
        parts[dealt[leaf.origin]] += leaf.count
    tree = layouts.tree(layout, leaves, dealt, export.name, pairs=export.pairs, shard_size=export.shard_size)
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


def choices(gallery: Gallery, say: Language) -> dict[str, list[tuple[str, str]]]:
    """(label, value) for the menus of defects, sources and runs, with how many pictures each has."""
    gallery.refresh()
    return {
        "defect": [
            (say("review.any_defect"), ""),
            *((f"{titles(say, [kind])} ({count})", kind) for kind, count in gallery.defects()),
        ],
        "source": [
            (say("review.any_source"), ""),
            *((f"{name} ({count})", sha256) for sha256, name, count in gallery.sources(MOST_CHOICES)),
        ],
        "run": [
            (say("review.any_run"), ""),
            *((f"{_when(run)} ({count})", run) for run, count in gallery.newest_runs(MOST_CHOICES)),
        ],
    }


def _when(run: str) -> str:
    """A run's id is when it was asked for, and a few letters that tell it from another of that second."""
    return f"{run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}:{run[13:15]} {run[16:]}"


def verdict_choices(gallery: Gallery, say: Language, wanted: Filter) -> list[tuple[str, str]]:
    """(label with its count, value) of the verdicts, under the rest of the filter."""
    counts = gallery.verdicts(replace(wanted, verdict=""))
    named = {"undecided": "", "kept": "kept", "discarded": "discarded", "deleted": "deleted"}
    total = sum(count for verdict, count in counts.items() if verdict != "deleted")
    return [
        (f"{say('review.all')} {total:,}", ""),
        *((f"{say(f'review.{name}')} {counts.get(found, 0):,}", name) for name, found in named.items()),
    ]
