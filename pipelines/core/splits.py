"""Deals groups of pictures to train, val and test. Knows nothing of pictures or of formats.

A group (everything made from one source picture) is never torn: a detector tested on a part that it has trained on is
tested on its memory.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

_SOURCES, _PICTURES = "\0sources", "\0pictures"


def grouped(pictures: Iterable[tuple[str, Sequence[str]]]) -> dict[str, Counter[str]]:
    """(group, classes shown) of each picture -> the pictures of each class in a group, groups in order of name."""
    found: dict[str, Counter[str]] = {}
    for group, classes in pictures:
        found.setdefault(group, Counter()).update(classes)
    return dict(sorted(found.items()))


def deal(
    groups: Mapping[str, Counter[str]], shares: Mapping[Part, float], seed: int, *, first: Sequence[Part] = PARTS
) -> dict[str, Part]:
    """Which part each group goes to. `groups` counts the pictures of each class in a group.

    Each class, the pictures and the groups all come as near to `shares` as whole groups allow (largest group first, to
    where it lessens the squared error most). No part with a share stays empty while another has two groups; where there
    are fewer groups than parts, the parts are served in the order `first`. Same groups, shares and seed: same answer.
    """
    wanted = [part for part in first if shares[part] > 0]
    sizes = {key: Counter({**counts, _SOURCES: 1, _PICTURES: counts.total()}) for key, counts in groups.items()}
    total = sum(sizes.values(), Counter[str]())
    have = {part: Counter[str]() for part in wanted}
    dealt: dict[str, Part] = {}

    def error_added(part: Part, size: Counter[str]) -> float:
        """By how much the squared errors grow, each against what was aimed at, so that parts fill at one pace."""
        aims = {name: shares[part] * total[name] for name, n in size.items() if n}
        return sum(
            size[name] * (size[name] + 2 * (have[part][name] - aim)) / (aim * total[name]) for name, aim in aims.items()
        )

    for left, key in zip(
        range(len(sizes), 0, -1), sorted(sizes, key=lambda key: _order(key, sizes[key], seed)), strict=True
    ):
        empty = [part for part in wanted if not have[part]]
        if len(sizes) < len(wanted):
            part = empty[0]
        else:
            part = min(empty if left <= len(empty) else wanted, key=lambda part: error_added(part, sizes[key]))
        have[part] += sizes[key]
        dealt[key] = part
    return dealt


def _order(key: str, size: Counter[str], seed: int) -> tuple[int, str]:
    return -size[_PICTURES], hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()


def shortfalls(
    dealt: Mapping[str, Part], groups: Mapping[str, Counter[str]], shares: Mapping[Part, float]
) -> list[str]:
    """Sentences about what the deal could not do: parts left empty, classes that a part has none of."""
    found = []
    classes = sorted({name for counts in groups.values() for name in counts})
    for part in PARTS:
        if shares[part] == 0:
            continue
        members = [groups[key] for key, where in dealt.items() if where == part]
        if not members:
            found.append(
                f"{part} is empty: everything made from one source stays together, and {len(groups)} "
                f"source{'s' if len(groups) != 1 else ''} cannot fill every part; add pictures made from others"
            )
            continue
        lacking = [name for name in classes if not any(counts[name] for counts in members)]
        if lacking:
            found.append(f"{part} has no {', '.join(lacking)}: too few sources show it")
    return found
