"""The Settings tab: language, light or dark, folders, the doctor, version and licences.

Gathers what the tab shows and wires it. The studio listens on this machine alone, so who reads this page can see the
folders anyway: it is the one place that tells their whole paths, on demand.
"""

import os
import re
import time
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from shutil import disk_usage
from typing import Any

from pipelines.core import doctor, weights
from pipelines.core.device import gib
from studio import i18n
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.routes import PROJECT
from studio.widgets import CLIPBOARD, widget

# What a look into a folder may cost: a runs folder with a million files would take minutes.
MOST_ENTRIES, PATIENCE_S = 100_000, 1.5
LONGEST = 60


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    shown = widget(
        "settings",
        None,
        scripts=[CLIPBOARD],
        words=say.table("settings"),
        languages=[_language(code) for code in i18n.codes()],
        language=say.code,
        cookie=i18n.COOKIE,
        about={"version": say("settings.version", n=version()), "packages": packages()},
        elem_id="settings",
    )

    def look() -> dict[str, Any]:
        return {"folders": folders(context, say)}

    def examine() -> dict[str, Any]:
        return {"doctor": examined(context, say)}

    shown.look(look, None, shown, **QUIET)
    shown.examine(examine, None, shown, concurrency_limit=1, **QUIET).failure(
        lambda: {"doctor": None}, None, shown, **QUIET
    )


def _language(code: str) -> dict[str, str]:
    return {"code": code, "name": i18n.NAMES[code], "href": "/" if code == i18n.ENGLISH else f"/{code}/"}


def folders(context: Context, say: Language) -> list[dict[str, Any]]:
    """Every folder that the studio works with: what it is for, how large it is, and how to choose another."""
    data = [("data", root, "python app.py --data DIR") for root in context.folders.roots]
    known = [
        ("runs", context.runs, "python app.py --runs DIR"),
        ("models", weights.folder(), "FLAWSMITH_MODELS=DIR python app.py"),
        *data,
    ]
    return [_folder(say, kind, path, flag) for kind, path, flag in known]


def _folder(say: Language, kind: str, path: Path, flag: str) -> dict[str, Any]:
    if path.is_dir():
        taken, whole = occupied(path)
        size = say("settings.takes" if whole else "settings.takes_some", n=gib(taken))
        size = f"{size} · {say('settings.free', n=gib(disk_usage(path).free))}"
    else:
        size = say("settings.missing")
    return {
        "kind": kind,
        "name": say(f"settings.{kind}_name"),
        "why": say(f"settings.{kind}_why"),
        "short": "/".join(path.parts[-2:]),
        "full": str(path),
        "size": size,
        "flag": flag,
    }


def occupied(folder: Path, most: int = MOST_ENTRIES, patience_s: float = PATIENCE_S) -> tuple[int, bool]:
    """The bytes of the files below a folder, and whether all were counted. Follows no link; what cannot be read is
    passed over."""
    until = time.monotonic() + patience_s
    total = seen = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > most or time.monotonic() > until:
                        return total, False
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # gone since, or not ours to read
            continue
    return total, True


def examined(context: Context, say: Language) -> dict[str, Any]:
    """What the doctor found, in this language, and its report as text. The port is left out: this page has it."""
    findings = [found for found in doctor.examine(context.runs, port=0) if found.name != "port"]
    problems, notes = (sum(found.level == level for found in findings) for level in ("problem", "note"))
    if problems:
        said = say.count("settings.problems", problems)
    else:
        said = say.count("settings.notes", notes) if notes else say("settings.well")
    lines = [
        {
            "name": say.data(f"doctor.names.{found.name}", found.name),
            "level": found.level,
            "text": say.sentence(found.text),
            "remedy": found.remedy or "",
        }
        for found in findings
    ]
    return {"said": said, "findings": lines, "report": doctor.render(findings)}


@cache
def version() -> str:
    """Of this program."""
    return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])


@cache
def packages() -> list[dict[str, str]]:
    """The packages of requirements.txt that are installed, with version and licence as they declare them."""
    pins = re.findall(r"^([\w.-]+)", doctor.REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    return [found for name in pins if (found := _package(name))]


def _package(name: str) -> dict[str, str] | None:
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")
    ]
    expression = about.get_all("License-Expression", [])
    text = "".join(about.get_all("License", []))  # older packages put the whole licence here
    licence = "".join(expression) or (text if len(text) <= LONGEST else "") or ", ".join(classified)
    return {"name": about["Name"], "version": about["Version"], "licence": licence}
