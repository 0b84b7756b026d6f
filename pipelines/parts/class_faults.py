"""Names of classes that are nearly another's or that one picture alone has, and of files that differ in case alone."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from pipelines.parts.loaders.example import Example, Fault
from pipelines.parts.loaders.tree import named


def classes(examples: Sequence[Example], root: Path) -> Iterator[Fault]:
    """Names that are nearly another's, and those that one picture alone has."""
    having: dict[str, dict[Path, None]] = {}
    for example in examples:
        for name in example.classes:
            having.setdefault(name, {})[example.image] = None
    counts = {name: len(paths) for name, paths in having.items()}
    good = {example.image: None for example in examples if not example.classes}
    meant: dict[str, str] = {}
    for one, other in combinations(sorted(counts), 2):
        rarer, usual = sorted((one, other), key=lambda name: (counts[name], name))
        if _clash(rarer, usual) or (_near(rarer, usual) and counts[rarer] * 2 <= counts[usual]):
            meant.setdefault(rarer, usual)
    for name in counts:
        if name not in meant and good and _near(name.lower(), "good") and counts[name] * 2 <= len(good):
            meant[name] = "good"
    for rarer, usual in meant.items():
        paths, clash = tuple(sorted(having[rarer])), _clash(rarer, usual)
        many = f"{counts[rarer]} picture{'s' if counts[rarer] > 1 else ''} of {rarer}, such as {named(paths[0], root)}"
        of = f"{counts.get(usual, len(good))} of {usual}"
        differ = "which is the same name on Windows and macOS" if clash else "a name nearly the same"
        text = f"there are {many}, and {of}, {differ}: file the fewer under {usual} (mend), or use both"
        kind, instead = "names_clash_by_case" if clash else "class_typo", "" if usual not in counts else usual
        yield Fault(kind, paths, text, ("mend", "use", "leave_out"), instead=instead, renames=rarer)
    for name, count in counts.items():
        if count == 1 and name not in meant:
            (path,) = having[name]
            text = (
                f"{name} has one picture, {named(path, root)}: nothing is left to test with; add more, or leave it out"
            )
            yield Fault("class_with_one_image", (path,), text, ("use", "leave_out"), stops=False)


def _clash(one: str, other: str) -> bool:
    return one != other and one.casefold() == other.casefold()


def _near(one: str, other: str) -> bool:
    """Whether one name is the other mistyped: an edit or two apart, and not by a number or a letter that counts."""
    plain = [re.sub(r"[\s_-]+", "", name.casefold()) for name in (one, other)]
    if plain[0] == plain[1]:
        return True
    if re.sub(r"\d+", "#", plain[0]) == re.sub(r"\d+", "#", plain[1]):
        return False  # type1 and type2
    words = [re.split(r"[\s_-]+", name.casefold()) for name in (one, other)]
    if len(words[0]) == len(words[1]) and any(a != b and max(len(a), len(b)) < 4 for a, b in zip(*words, strict=True)):
        return False  # side_a and side_b
    shortest = min(map(len, plain))
    return shortest >= 4 and _edits(*plain) <= (1 if shortest < 8 else 2)


def _edits(one: str, other: str) -> int:
    """Letters added, dropped, changed or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, row, older = row, [i], before
        for j, b in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def clashes(examples: Sequence[Example], root: Path) -> Iterator[Fault]:
    """Files of one folder whose names differ in case alone. Folders that do are classes, and told as such."""
    found: dict[tuple[Path, str], set[Path]] = {}
    for example in examples:
        found.setdefault((example.image.parent, example.image.name.casefold()), set()).add(example.image)
    for paths in found.values():
        if len(paths) > 1:
            one, *others = sorted(paths)
            text = (
                f"{named(one, root)} and {named(others[0], root)} are one name on Windows and macOS: rename one; here"
                " both may be used, or the first alone (mend)"
            )
            yield Fault("names_clash_by_case", (one, *others), text, ("use", "mend"))
