"""Fetches the weights of a base or a net as a run: with progress, Stop, and going on where it stopped.

How it is done, core/fetch knows.
"""

import time

from pipelines.core import fetch, files, nets
from pipelines.core.models import Models
from pipelines.core.requests import Fetch
from pipelines.core.runs import Run

MIB = 2**20
YIELD_S = 1.0


def run(request: Fetch, run: Run, models: Models) -> None:
    """Bring it into the models folder; the result says what came. Progress is in MiB."""
    for index in run.items(request.length()):
        given_way = time.monotonic()

        def told(done: int, total: int, name: str) -> None:
            nonlocal given_way
            run.tick(done // MIB, -(-total // MIB), f"fetching {name}: {files.size(done)} of {files.size(total)}")
            if time.monotonic() - given_way >= YIELD_S:
                run.give_way()
                given_way = time.monotonic()

        found = fetch.fetch(nets.fetchable(request.base), told)
        run.log(fetched=request.base, commit=found.commit, bytes=found.bytes, came=found.came)
        run.commit(
            index,
            {"base": request.base, "commit": found.commit, "fetched_files": found.files, "bytes": found.bytes},
        )
    run.finish(run.rows()[0])
