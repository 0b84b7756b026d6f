"""The older captioner: keywords by how many captions hold them, those that fit each picture best by CLIP."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipelines.core import captioners, templates
from pipelines.core.models import Models
from pipelines.parts.captioners import ranking
from pipelines.parts.captioners.seen import How, Seen
from pipelines.parts.loaders import captioned

MOST = 64
"""Keywords that CLIP chooses among."""
KEPT = 5
"""Those that a caption names."""
LONGEST = 3
"""Words in what counts as one keyword; of a longer piece of a caption each word is one."""
EMPTY = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "into", "is", "it", "its",
    "near", "of", "on", "or", "over", "that", "the", "their", "there", "this", "to", "under", "up", "was",
    "were", "which", "while", "with", "photo", "picture", "image",
})  # fmt: skip
WORD = re.compile(r"[\w'-]+")


def candidates(said: Iterable[str], given: Sequence[str]) -> list[str]:
    """Those given first, then those of the captions `said`, the most frequent first; MOST at most."""
    counted = Counter(word for one in said for word in dict.fromkeys(_of(captioned.first_line(one))))
    frequent = sorted(counted, key=lambda word: (-counted[word], word))
    return templates.distinct([*(word.strip() for word in given if word.strip()), *frequent])[:MOST]


def captions(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    """For each picture the KEPT keywords that fit it best, between commas; "" where there are none at all.

    Raises Missing without a CLIP, BadInput where it is damaged.
    """
    if (sentence := captioners.no_clip()) is not None:
        raise sentence
    words = candidates([one.said for one in seen], how.keywords)
    if not words:
        return [""] * len(seen)
    scores = ranking.similarities([one.picture for one in seen], words, ranking.here()[:1], models)
    return [", ".join(words[at] for at in (-row).argsort(kind="stable")[:KEPT]) for row in scores]


def _of(caption: str) -> Iterator[str]:
    for part in caption.casefold().split(","):
        words = WORD.findall(part)
        if len(words) <= LONGEST and not EMPTY.intersection(words):
            yield from filter(None, [" ".join(words)])
        else:
            yield from (word for word in words if word not in EMPTY)
