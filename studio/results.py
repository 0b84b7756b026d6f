"""What the page says of finished pictures: where they are, how good they are in plain words, what was kept.

Knows manifest rows and review.json; computes no score.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipelines.core import runs
from pipelines.core.errors import BadInput, Missing
from pipelines.core.queue import Row
from studio import pictures
from studio.context import Context

MOST_SHOWN = 64
CLEAR, FAINT = 2.0, 1.2
HARDLY = 0.02


def comparison(context: Context, row: Row | None) -> dict[str, Any]:
    """The pictures a run has finished so far, for the before/after view; nothing for a run that makes none."""
    if row is None or row.task != "inpaint":
        return {"run": "", "items": []}
    verdicts = runs.verdicts(context.runs / row.id)
    items = [item(context, row.id, one, verdicts) for one in context.queue.rows(row.id, limit=MOST_SHOWN)]
    return {
        "run": row.id,
        "items": [one for one in items if one["verdict"] != "deleted"],
    }


def item(context: Context, run: str, one: dict[str, Any], verdicts: Mapping[str, str]) -> dict[str, Any]:
    """One finished picture for the before/after view, from its manifest row."""
    source = context.assets.get(one["source"]["asset"])
    stem = PurePosixPath(one["file"]).relative_to("images").with_suffix("").as_posix()
    return {
        "stem": stem,
        "before": pictures.address(source),
        "after": f"/files/{run}/{one['file']}{pictures.smaller(source)}",
        "mask": f"/files/{run}/{one['mask']}",
        "thumb": f"/files/{run}/{one['thumb']}",
        "verdict": verdicts.get(stem, ""),
        "facts": facts(one["scores"]),
    }


def facts(scores: dict[str, float]) -> list[dict[str, str]]:
    """Three sentences on a picture, each with its technical name and a tone: good, warn or bad."""
    outside, fidelity, visibility = scores["outside_max"], scores["fidelity"], scores["visibility"]
    return [
        {
            "text": "Nothing else was touched" if outside == 0 else "The picture changed outside the painted area",
            "name": f"outside_max {outside:g}",
            "tone": "good" if outside == 0 else "bad",
            "help": "Largest change of a pixel outside what was painted and its soft edge",
        },
        {
            "text": f"Fills {100 * fidelity:.0f} % of what was painted"
            if fidelity >= HARDLY
            else "Hardly fills what was painted",
            "name": f"fidelity {fidelity:.2f}",
            "tone": "good" if fidelity >= HARDLY else "warn",
            "help": "Overlap of what changed with what was painted; a defect has an outline of its own",
        },
        {
            "text": "Clearly visible"
            if visibility >= CLEAR
            else "Faint"
            if visibility >= FAINT
            else "Hard to see: raise the severity",
            "name": f"visibility {visibility:.1f}",
            "tone": "good" if visibility >= CLEAR else "warn",
            "help": "Contrast of the defect against its surroundings; 1 = hidden in them",
        },
    ]


def judge(context: Context, run: str, stem: str, verdict: str) -> None:
    """Keep, discard, or ("") take the decision back. Raises BadInput, Missing."""
    verdicts: dict[str, runs.Verdict | None] = {"kept": "kept", "discarded": "discarded", "": None}
    if verdict not in verdicts:
        raise BadInput(f"verdict {verdict[:40]!r}: choose kept or discarded, or nothing to take it back", "verdict")
    row = context.queue.get(run)
    runs.judge(context.runs / row.id, {stem: verdicts[verdict]})  # which keeps `stem` inside the run's folder


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
