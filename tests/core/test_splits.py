"""The deal of sources to train, val and test: nothing torn, shares met, classes spread, the same every time."""

from collections import Counter

import pytest

from pipelines.core.splits import PARTS, Part, deal, shortfalls

SHARES: dict[Part, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


def groups(*sizes: int, defect: str = "scratch") -> dict[str, Counter[str]]:
    return {f"{defect}{index:03d}": Counter({defect: size}) for index, size in enumerate(sizes)}


def pictures(dealt: dict[str, Part], of: dict[str, Counter[str]]) -> dict[str, int]:
    return {part: sum(of[key].total() for key, where in dealt.items() if where == part) for part in PARTS}


@pytest.mark.parametrize("count", [10, 100, 400])
def test_equal_groups_meet_the_shares_exactly(count: int) -> None:
    found = groups(*[3] * count)
    dealt = deal(found, SHARES, seed=5)
    assert dealt.keys() == found.keys()
    assert Counter(dealt.values()) == {part: round(share * count) for part, share in SHARES.items()}


def test_unequal_groups_come_near() -> None:
    found = groups(*[1 + (7 * n) % 13 for n in range(60)])
    counts = pictures(deal(found, SHARES, seed=0), found)
    for part, share in SHARES.items():
        assert counts[part] / sum(counts.values()) == pytest.approx(share, abs=0.04)


def test_a_rare_class_reaches_every_part() -> None:
    found = groups(*[4] * 60) | groups(*[1] * 10, defect="hole")
    dealt = deal(found, SHARES, seed=1)
    holes = Counter(where for key, where in dealt.items() if key.startswith("hole"))
    assert holes == {"train": 7, "val": 1, "test": 2}
    assert not shortfalls(dealt, found, SHARES)


def test_no_part_stays_empty_when_there_are_enough_groups() -> None:
    dealt = deal(groups(100, 1, 1), SHARES, seed=0)
    assert set(dealt.values()) == set(PARTS)


@pytest.mark.parametrize(
    ("count", "first", "served"),
    [
        (1, PARTS, {"train"}),
        (2, PARTS, {"train", "val"}),
        (1, ("test", "train", "val"), {"test"}),
        (2, ("test", "train", "val"), {"train", "test"}),
    ],
)
def test_few_groups_go_to_the_parts_that_come_first(count: int, first: tuple[Part, ...], served: set[str]) -> None:
    found = groups(*[5] * count)
    dealt = deal(found, SHARES, seed=0, first=first)
    assert set(dealt.values()) == served
    said = shortfalls(dealt, found, SHARES)
    assert [sentence.split()[0] for sentence in said] == [part for part in PARTS if part not in served]
    assert all("stays together" in sentence for sentence in said)


def test_a_share_of_nothing_gets_nothing_and_is_not_missed() -> None:
    shares: dict[Part, float] = {"train": 0.8, "val": 0.0, "test": 0.2}
    found = groups(*[2] * 10)
    dealt = deal(found, shares, seed=0)
    assert Counter(dealt.values()) == {"train": 8, "test": 2}
    assert not shortfalls(dealt, found, shares)


def test_a_class_that_a_part_lacks_is_named() -> None:
    found = groups(*[2] * 10) | groups(1, defect="hole")
    said = shortfalls(deal(found, SHARES, seed=0), found, SHARES)
    assert len(said) == 2
    assert all("hole" in sentence for sentence in said)


def test_the_seed_decides_and_the_order_asked_does_not() -> None:
    found = groups(*[2] * 40)
    backwards = dict(reversed(found.items()))
    assert deal(found, SHARES, seed=3) == deal(backwards, SHARES, seed=3)
    assert deal(found, SHARES, seed=3) != deal(found, SHARES, seed=4)
