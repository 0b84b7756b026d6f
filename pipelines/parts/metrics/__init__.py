"""What can be measured of a set of pictures, by name."""

from collections.abc import Callable, Sequence

from pipelines.parts.metrics import realism
from pipelines.parts.metrics.realism import Marked, Realism

__all__ = ["METRICS", "Marked", "Realism"]

METRICS: dict[str, Callable[[Sequence[Marked], Sequence[Marked]], Realism]] = {"realism": realism.measure}
"""Each takes the synthetic pictures, then the real ones."""
