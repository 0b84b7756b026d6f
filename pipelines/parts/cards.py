"""README.md of an export: what is in it, how and from what it was made. No date: the same export stays the same."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.core import bases
from pipelines.core.errors import Problem
from pipelines.core.splits import PARTS, Part
from pipelines.parts import making
from pipelines.parts.datasets import Sample, Source
from pipelines.parts.exporters import Book, Entry, File
from pipelines.parts.making import Asked, Making
from pipelines.parts.targets import MARK, OURS

GOOD = "good"
SOURCES_SHOWN = 200
RUNS_SHOWN = 20
ASKED = ("template", "defects", "vary", "gates", "place", "count", "tries", "first", "seed")
"""What of a batch stands in the card; its sources and masks stand in the recipe."""


@dataclass
class Tally:
    """What is counted of a data set, picture by picture."""

    parts: dict[Part, Counter[str]] = field(default_factory=lambda: {part: Counter() for part in PARTS})
    defective: int = 0
    good: int = 0
    bases: Counter[str] = field(default_factory=Counter)
    sources: dict[str, str] = field(default_factory=dict)
    """{sha256: name} of what the pictures were made from, whether it is in the data set or not."""

    def add(self, part: Part, defects: Sequence[str], source: Source | None) -> None:
        """One that shows several kinds counts for each."""
        self.parts[part].update(defects or [GOOD])
        if defects:
            self.defective += 1
        else:
            self.good += 1
        if source is not None:
            self.sources.setdefault(source.sha256, source.name)

    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures of each class in each part."""
        return {part: dict(sorted(counter.items())) for part, counter in self.parts.items()}


def tally(entries: Iterable[Entry]) -> Tally:
    """Of entries at hand."""
    found = Tally()
    for entry in entries:
        made = entry.of if isinstance(entry.of, Sample) else None
        source = entry.of if isinstance(entry.of, Source) else entry.of.source
        found.add(entry.part, entry.sample.defects if entry.sample else (), source)
        if made is not None:
            found.bases[base_name(made.facts.get("base"))] += 1
    return found


def base_name(base: Any) -> str:
    return "not recorded" if base is None else str(base)


def files(found: Tally, book: Book, title: str, notes: Sequence[str], made: Making, sheet: bytes) -> list[File]:
    """The card as Markdown, the recipe, and the picture that the card shows."""
    lines = [*_head(found, book, title, notes), *_made(found, made), *_from(found)]
    card = File(OURS, "".join(line + "\n" for line in lines).encode())
    return [card, File(making.NAME, made.text()), File("sheet.jpg", sheet)]


def _head(found: Tally, book: Book, title: str, notes: Sequence[str]) -> Iterator[str]:
    yield f"# {_plain(book.name)}"
    yield ""
    yield f"{found.defective} pictures with defects, {found.good} good ones among them. Layout: {title}."
    yield ""
    yield "![some of them, with their labels as outlines](sheet.jpg)"
    yield ""
    yield "| class | " + " | ".join(PARTS) + " |"
    yield "|---|" + "---:|" * len(PARTS)
    for name in (*book.classes, GOOD):
        yield f"| {_plain(name)} | " + " | ".join(str(found.parts[part][name]) for part in PARTS) + " |"
    yield ""
    yield "A picture with defects of several kinds counts for each. Everything made from one source is in one part."
    yield from (f"- {_plain(note)}" for note in notes)
    yield ""


def _made(found: Tally, made: Making) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    yield "The defects are synthetic: drawn or generated into photographs or pictures of good parts, not photographed."
    for base, number in sorted(found.bases.items()):
        yield f"- base {_plain(base)}: {number} pictures{_plain(_licence(base))}"
    for sha256, name in sorted(made.adapters().items(), key=lambda item: item[::-1]):
        yield f"- adapter {_plain(name)} (sha256 {sha256})"
    yield ""
    yield "Each picture that was made carries the request that made it in its PNG (text chunk `flawsmith`); inputs are "
    yield "named by file name and sha256."
    yield ""
    batches = [asked for asked in made.runs if asked.request.get("task") == "batch"]
    for asked in batches[:RUNS_SHOWN]:
        yield from _batch(asked)
    if len(batches) > RUNS_SHOWN:
        yield f"{len(batches) - RUNS_SHOWN} more batches stand in the recipe."
        yield ""
    yield "## Make it again"
    yield ""
    if made.recipe:
        yield f"`python -m pipelines run {making.NAME}` makes the same pictures and the same data set. It finds the"
        yield "files below by name and sha256, beside the recipe or among those that it was given before."
    else:
        yield "None of it can be made again by itself: the recipe is empty."
    yield from (f"- {_plain(note)}" for note in made.notes)
    yield ""


def _batch(asked: Asked) -> Iterator[str]:
    yield "What a batch was asked for:"
    yield ""
    yield "```json"
    told = {name: asked.request[name] for name in ASKED if asked.request.get(name) not in (None, [], {})}
    yield json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True)
    yield "```"
    yield ""
    result = asked.result
    if "tried" in result:
        why = ", ".join(f"{gate} {count}" for gate, count in sorted(dict(result.get("reasons") or {}).items()))
        yield (
            f"It kept {result.get('images')} of {result.get('wanted')} after {result['tried']} tries"
            + (f"; set aside or failed: {_plain(why)}." if why else ".")
        )
        yield ""


def _from(found: Tally) -> Iterator[str]:
    yield "## Made from"
    yield ""
    named = sorted(found.sources.items(), key=lambda item: item[::-1])
    yield from (f"- {_plain(name)} (sha256 {sha256})" for sha256, name in named[:SOURCES_SHOWN])
    if len(named) > SOURCES_SHOWN:
        yield f"- and {len(named) - SOURCES_SHOWN} more"
    yield ""
    yield "## Licence"
    yield ""
    yield "The pictures are derived from the sources above, and their licence goes on to everything here. Ask for it "
    yield "before passing this on. What a base's licence asks of what it makes holds too. The labels carry no licence"
    yield "of their own."
    yield ""
    yield MARK


def _licence(base: str) -> str:
    try:
        return f" (licence: {bases.get(base).licence})"
    except Problem:  # a base of another machine, or none
        return ""


def weights(names: Iterable[str]) -> Mapping[str, str]:
    """{base: sha256 of its weights} of those that were fetched here."""
    from pipelines.core import fetch

    found = {}
    for name in names:
        try:
            base = bases.get(name)
            if base.repo is not None:
                found[name] = fetch.fingerprint(base)
        except Problem:
            continue
    return {name: sha256 for name, sha256 in found.items() if sha256}


def _plain(text: str) -> str:
    """Names come from people's files; in a table or a list they must stay one line of text."""
    return "".join("\\" + sign if sign in "\\`*_[]<>|#" else sign if sign.isprintable() else " " for sign in text)
