"""What the page says of finished pictures: where they are, how good they are in plain words, what was kept.

Knows manifest rows and review.json; computes no score.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, get_args

from pipelines.core import runs
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing
from pipelines.core.queue import Row
from studio import pictures, watch
from studio.context import Context
from studio.i18n import Language

MOST_SHOWN = 64
PAINTED = ("inpaint", "control", "text", "dual")
"""The tasks that make pictures."""
MOST_WORDS = 120
VERDICTS: dict[str, runs.Verdict | None] = {"": None, **{verdict: verdict for verdict in get_args(runs.Verdict)}}
CLEAR, FAINT = 2.0, 1.2
HARDLY = 0.02


def comparison(context: Context, say: Language, row: Row | None) -> dict[str, Any]:
    """The pictures a run has finished so far, for the before/after view; nothing for a run that makes none.

    Until it is over also what it is doing, and the picture that shows it: what is being drawn, or will be drawn on.
    """
    if row is None or row.task not in PAINTED:
        return {"run": "", "items": []}
    verdicts = runs.verdicts(context.runs / row.id)
    rows = [one for one in context.queue.rows(row.id, limit=MOST_SHOWN) if runs.listed(one)]
    items = [item(context, say, row.id, one, verdicts) for one in rows]
    shown = {"run": row.id, "items": [one for one in items if one["verdict"] != "deleted"], "state": row.state}
    if row.over:
        return {**shown, "preview": "", "doing": ""}
    doing = watch.job(say, row, watch.ahead(context, row))["text"]
    return {**shown, "preview": _preview(context, row), "doing": doing}


def _preview(context: Context, row: Row) -> str:
    """Where the browser finds what the run draws at this moment; before there is any, the picture it is drawn on."""
    try:
        drawn = (context.runs / row.id / "preview.jpg").stat().st_mtime_ns
    except FileNotFoundError:
        image = str(row.request.get("image", ""))
        return pictures.address(context.assets.get(image)) if context.assets.has(image) else ""
    return f"/files/{row.id}/preview.jpg?at={drawn}"


def item(context: Context, say: Language, run: str, one: dict[str, Any], verdicts: Mapping[str, str]) -> dict[str, Any]:
    """One finished picture for the before/after view, from its manifest row. Without its source it stands alone."""
    if not one.get("regions", True):
        return _whole(say, run, one, verdicts)
    source = None if "part" in one else _source(context, one)
    stem = PurePosixPath(one["file"]).relative_to("images").with_suffix("").as_posix()
    file = f"/files/{run}/{one['file']}"
    return {
        "run": run,
        "stem": stem,
        "before": pictures.address(source) if source else "",
        "after": file + (pictures.smaller(source) if source else f"?side={pictures.VIEW_PX}"),
        "exact": [pictures.exact(source), f"{file}?{pictures.EXACT}"] if source else [],
        "mask": f"/files/{run}/{one['mask']}",
        "thumb": f"/files/{run}/{one['thumb']}",
        "verdict": verdicts.get(stem, ""),
        "facts": seen(say, one),
        "note": "" if source or "part" in one else say("results.no_source"),
    }


def _whole(say: Language, run: str, one: dict[str, Any], verdicts: Mapping[str, str]) -> dict[str, Any]:
    """A picture that was made whole: there is nothing to compare it with, and nothing marked on it."""
    stem = PurePosixPath(one["file"]).relative_to("images").with_suffix("").as_posix()
    words = str(one.get("prompt", ""))
    shown = words if len(words) <= MOST_WORDS else words[: MOST_WORDS - 1] + "…"
    fact = {"text": shown, "name": f"seed {one['seed']}", "tone": "plain", "help": words}
    return {
        "run": run,
        "stem": stem,
        "before": "",
        "after": f"/files/{run}/{one['file']}?side={pictures.VIEW_PX}",
        "exact": [],
        "mask": "",
        "thumb": f"/files/{run}/{one['thumb']}",
        "verdict": verdicts.get(stem, ""),
        "facts": [fact],
        "note": say.sentence(str(one.get("note", ""))),
    }


def seen(say: Language, one: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is said of a picture with a defect: how it was painted; of a pair, made with its mask, how large that is."""
    if "part" not in one:
        return facts(say, one["scores"])
    found = one["found"]
    text, name = say("results.covers", share=f"{100 * found['area']:.1f}"), f"{found['method']} {found['threshold']:g}"
    return [{"text": text, "name": name, "tone": "plain", "help": str(one["prompt"])}]


def _source(context: Context, one: Mapping[str, Any]) -> Asset | None:
    """The good picture it was made from; None where that was deleted, or there never was one."""
    id = str((one.get("source") or {}).get("asset", ""))
    return context.assets.get(id) if context.assets.has(id) else None


def facts(say: Language, scores: dict[str, float]) -> list[dict[str, str]]:
    """Three sentences on a picture, each with its technical name and a tone: good, warn or bad."""
    outside, fidelity, visibility = scores["outside_max"], scores["fidelity"], scores["visibility"]
    seen = "clear" if visibility >= CLEAR else "faint" if visibility >= FAINT else "hidden"
    fills = say("results.fills", share=f"{100 * fidelity:.0f}")
    return [
        {
            "text": say("results.untouched" if outside == 0 else "results.touched"),
            "name": f"outside_max {outside:g}",
            "tone": "good" if outside == 0 else "bad",
            "help": say("results.outside_help"),
        },
        {
            "text": fills if fidelity >= HARDLY else say("results.hardly"),
            "name": f"fidelity {fidelity:.2f}",
            "tone": "good" if fidelity >= HARDLY else "warn",
            "help": say("results.fidelity_help"),
        },
        {
            "text": say(f"results.{seen}"),
            "name": f"visibility {visibility:.1f}",
            "tone": "good" if visibility >= CLEAR else "warn",
            "help": say("results.visibility_help"),
        },
    ]


def judge(context: Context, changes: Mapping[str, str]) -> None:
    """Verdicts by picture id, "RUN/00000"; "" takes one back. Raises BadInput, Missing."""
    by_run: dict[str, dict[str, runs.Verdict | None]] = {}
    for id, verdict in changes.items():
        if verdict not in VERDICTS:
            raise BadInput(f"verdict {verdict[:40]!r}: choose kept, discarded or deleted", "verdict")
        run, _, stem = id.partition("/")
        by_run.setdefault(context.queue.get(run).id, {})[stem] = VERDICTS[verdict]
    for run, found in by_run.items():
        runs.judge(context.runs / run, found)  # which keeps each stem inside the run's folder


def changes(sent: Any) -> dict[str, str]:
    """The verdicts that a widget's event tells: those of a moment come as one, so that none overtakes another."""
    return {str(id): str(verdict) for id, verdict in dict(sent).items()}


def kept(context: Context) -> dict[str, int]:
    """How many pictures were kept, by run, newest run first."""
    found = {}
    for review in sorted(context.runs.glob("*/review.json"), reverse=True):
        count = sum(verdict == "kept" for verdict in runs.verdicts(review.parent).values())
        if count:
            found[review.parent.name] = count
    return found


def download(context: Context, row: Row) -> str:
    """Where the ZIP of a finished export is. Raises Missing."""
    if row.state != "done" or not (context.runs / row.id / "export.zip").is_file():
        raise Missing(f"run {row.id} has no export.zip")
    return f"/files/{row.id}/export.zip"
