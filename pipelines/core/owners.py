"""Who holds a run or answers an order: a process, told from every other one, and whether it is still there.

Knows processes; nothing of the job table.
"""

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

SAME_S = 0.05


@dataclass(frozen=True)
class Owner:
    """A process that may hold a run. Its start time tells it from a later process with the same number."""

    host: str
    pid: int
    born: float

    @classmethod
    def me(cls) -> "Owner":
        return cls(socket.gethostname(), os.getpid(), _started(psutil.Process()))

    @property
    def id(self) -> str:
        """What the page calls it: nobody else ever has the same, and it names no machine."""
        return hashlib.sha256(f"{self.host} {self.pid} {self.born!r}".encode()).hexdigest()[:12]

    def gone(self) -> bool:
        """True when it is known to be dead; a process on another host is only known by its lease."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            return abs(_started(process) - self.born) > SAME_S or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _started(process: psutil.Process) -> float:
    """When a process began, by a clock that nobody sets. Raises psutil.NoSuchProcess.

    On Linux in seconds since the machine came up: what psutil says is counted from 1970 through the time of the day,
    and a living process would seem to be another one as soon as the clock is put right.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        # the second field is the program's name, which may hold spaces and brackets; the start comes twentieth after it
        ticks = int(stat.read_bytes().rpartition(b")")[2].split()[19])
    except OSError:
        return float(process.create_time())
    return ticks / os.sysconf("SC_CLK_TCK")
