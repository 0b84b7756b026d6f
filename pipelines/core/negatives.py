"""Lists of words that should not be seen, by name: presets/negatives.toml. Knows no request."""

import tomllib
from functools import cache
from pathlib import Path

from pipelines.core.errors import BadInput

FILE = Path(__file__).parents[2] / "presets" / "negatives.toml"
NONE = "none"


@cache
def load(path: Path = FILE) -> dict[str, str]:
    """The words of each list by its name, in the order of the file."""
    return {name: table["words"] for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def words(name: str) -> str:
    """The words of a list. Raises BadInput."""
    known = load()
    if name not in known:
        raise BadInput(f"no list {name[:40]!r} of negative words; there is {', '.join(known)}", "negative_preset")
    return known[name]
