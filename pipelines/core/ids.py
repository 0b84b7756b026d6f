"""Names of runs and assets. Standard library only."""

import hashlib
import re
import secrets
import time

RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
MADE = re.compile(r"made-[0-9a-f]{20}(\.\d{1,5})?")
"""A run by what was asked of it, in a recipe: the newest that was made so, or `.2` the one before, and so on."""
ASSET = re.compile(r"asset-[0-9a-f]{20}")


def new_run() -> str:
    """A run's id: when it was asked for (UTC, readable) and enough chance that two never meet."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)


def asset(sha256: str, name: str) -> str:
    """An asset's id: the same content under the same name is the same asset, however it came in."""
    return "asset-" + hashlib.sha256(f"{sha256}\n{name}".encode()).hexdigest()[:20]
