"""README.md of an export: what is in it, how and from what it was made. No date: the same export stays the same."""

from collections import Counter
from collections.abc import Sequence

from pipelines.core.splits import PARTS
from pipelines.parts.datasets import Sample, Source
from pipelines.parts.exporters import Book, Entry, File
from pipelines.parts.targets import MARK, OURS

GOOD = "good"
SOURCES_SHOWN = 200


def counts(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """Pictures of each class in each part; one that shows several kinds counts for each."""
    found: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for entry in entries:
        found[entry.part].update(entry.sample.defects if entry.sample else [GOOD])
    return {part: dict(sorted(counter.items())) for part, counter in found.items()}


def card(entries: Sequence[Entry], book: Book, title: str, notes: Sequence[str]) -> File:
    """The card as Markdown."""
    table = counts(entries)
    samples = [entry.sample for entry in entries if entry.sample]
    made = [entry.of for entry in entries if isinstance(entry.of, Sample)]
    bases = Counter(str(sample.facts.get("base", "not recorded")) for sample in made)
    named = {source.sha256: source.name for source in _sources(entries)}
    lines = [
        f"# {_plain(book.name)}",
        "",
        f"{len(samples)} pictures with defects, {len(entries) - len(samples)} good ones among them. Layout: {title}.",
        "",
        "| class | " + " | ".join(PARTS) + " |",
        "|---|" + "---:|" * len(PARTS),
        *(
            f"| {_plain(name)} | " + " | ".join(str(table[part].get(name, 0)) for part in PARTS) + " |"
            for name in (*book.classes, GOOD)
        ),
        "",
        "A picture with defects of several kinds counts for each. Everything made from one source is in one part.",
        *(f"- {_plain(note)}" for note in notes),
        "",
        "## How it was made",
        "",
        "The defects are synthetic: drawn or generated into photographs or pictures of good parts, not photographed.",
        *(f"- base {_plain(base)}: {number} pictures" for base, number in sorted(bases.items())),
        "",
        "Each picture that was made carries the request that made it in its PNG (text chunk `flawsmith`); inputs are "
        "named by file name and sha256.",
        "",
        "## Made from",
        "",
        *(
            f"- {_plain(name)} (sha256 {sha256})"
            for sha256, name in sorted(named.items(), key=lambda item: item[::-1])[:SOURCES_SHOWN]
        ),
        *([f"- and {len(named) - SOURCES_SHOWN} more"] if len(named) > SOURCES_SHOWN else []),
        "",
        "## Licence",
        "",
        "The pictures are derived from the sources above, and their licence goes on to everything here. Ask for it "
        "before passing this on. The labels carry no licence of their own.",
        "",
        MARK,
    ]
    return File(OURS, "".join(line + "\n" for line in lines).encode())


def _sources(entries: Sequence[Entry]) -> list[Source]:
    """Of what the pictures were made, whether the good ones are in the export or not."""
    return [source for entry in entries if (source := entry.of if isinstance(entry.of, Source) else entry.of.source)]


def _plain(text: str) -> str:
    """Names come from people's files; in a table or a list they must stay one line of text."""
    return "".join("\\" + sign if sign in "\\`*_[]<>|#" else sign if sign.isprintable() else " " for sign in text)
