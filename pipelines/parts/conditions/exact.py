"""The pictures that come with the studio, known by their files: drawn again, their height and normals are exact.

Knows nothing of maps.
"""

import tomllib
from functools import lru_cache
from pathlib import Path

from pipelines.core import files
from pipelines.parts import surfaces
from pipelines.parts.surfaces import Surface

SAMPLES = Path(__file__).parents[3] / "presets" / "samples"


def known(sha256: str) -> Surface | None:
    """The surface that the picture file with this checksum shows; None for every other file."""
    drawn = _samples().get(sha256)
    return None if drawn is None else _drawn(*drawn)


@lru_cache(1)
def _samples() -> dict[str, tuple[str, int, int]]:
    """By checksum: the surface's name, its seed and the picture's side in pixels."""
    table = tomllib.loads((SAMPLES / "samples.toml").read_text(encoding="utf-8"))
    return {
        files.sha256(SAMPLES / one["file"]): (one["surface"], one["seed"], table["side"]) for one in table["samples"]
    }


@lru_cache(2)
def _drawn(name: str, seed: int, side_px: int) -> Surface:
    return surfaces.make(name, seed, (side_px, side_px))
