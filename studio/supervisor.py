"""Keeps worker processes alive: starts them, starts them again when they die, ends them gently. Knows nothing of runs,
of the queue or of what a worker does.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Post:
    """A place that must always be filled: a name for people, and the command that fills it."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next start: doubled with each early death, forgotten after a life of `settled_s`."""

    first_s: float = 0.5
    most_s: float = 30.0
    settled_s: float = 60.0

    def after(self, early_deaths: int) -> float:
        """Seconds to wait after that many early deaths in a row (>= 1)."""
        return min(self.first_s * 2.0 ** min(early_deaths - 1, 30), self.most_s)


@dataclass(frozen=True)
class Standing:
    """How a post stands now."""

    name: str
    pid: int | None
    starts: int


class Supervisor:
    """One thread a post: start, wait for the end, start again. `stop` asks them to end, past the grace makes them."""

    def __init__(self, posts: Sequence[Post], *, backoff: Backoff | None = None, grace_s: float = 15.0) -> None:
        self.grace_s = grace_s
        stopping = threading.Event()
        self._stopping = stopping
        self._keepers = [_Keeper(post, backoff or Backoff(), stopping) for post in posts]

    def start(self) -> None:
        """Starts every post and returns at once."""
        for keeper in self._keepers:
            keeper.start()

    def standing(self) -> list[Standing]:
        """How each post stands."""
        return [keeper.standing() for keeper in self._keepers]

    def stop(self) -> None:
        """Asks all to end and hand back what they hold, waits up to the grace, then kills. Safe to call twice."""
        self._stopping.set()
        for keeper in self._keepers:
            keeper.ask_to_end()
        deadline = time.monotonic() + self.grace_s
        for keeper in self._keepers:
            keeper.end_by(deadline)


class _Keeper(threading.Thread):
    def __init__(self, post: Post, backoff: Backoff, stopping: threading.Event) -> None:
        super().__init__(name=f"keeper of {post.name}", daemon=True)
        self.post = post
        self.backoff = backoff
        self.stopping = stopping
        self.starts = 0
        self._lock = threading.Lock()  # a start and a stop never cross: no child is born after ask_to_end
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        early_deaths = 0
        while True:
            born = time.monotonic()
            child = self._spawn()
            if child is None:
                return
            code = child.wait()
            if self.stopping.is_set():
                return
            early_deaths = 1 if time.monotonic() - born >= self.backoff.settled_s else early_deaths + 1
            delay = self.backoff.after(early_deaths)
            print(f"{self.post.name} {_ending(code)}; starting it again in {delay:g} s", file=sys.stderr, flush=True)
            if self.stopping.wait(delay):
                return

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self.stopping.is_set():
                return None
            # Its own session: Ctrl-C in the terminal reaches this process alone, which then ends the workers in order.
            self._child = subprocess.Popen(self.post.command, stdin=subprocess.DEVNULL, start_new_session=True)
            self.starts += 1
            return self._child

    def standing(self) -> Standing:
        child = self._child
        return Standing(self.post.name, child.pid if child and child.returncode is None else None, self.starts)

    def ask_to_end(self) -> None:
        with self._lock:
            if self._child:
                self._child.terminate()

    def end_by(self, deadline: float) -> None:
        if self.ident is not None:
            self.join(max(0.0, deadline - time.monotonic()))
        child = self._child
        if child and self.is_alive():
            print(
                f"{self.post.name} did not end in time and is killed; its run goes on at the next start",
                file=sys.stderr,
            )
            child.kill()
            self.join()


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
