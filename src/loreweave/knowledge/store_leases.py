"""Who is asking what at this moment: leases of requests in flight, which die with the process that holds them or with time."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

GENEROUS = 2.0
"""A lease from another boot or machine, whose clock is not ours, is let live this many times its length."""


class Lease(NamedTuple):
    """A row of the table `leases`, hash and owner aside.

    Attributes:
        boot: names one start of one machine; empty where the system does not say.
        space: names what process numbers mean (containers of one machine have their own).
        pid, started: a process, and when it started, since numbers are used again.
        monotonic, wall: seconds, when it was claimed, by the clock that runs from boot and by the one on the wall.
        seconds: that it lives for.
    """

    boot: str
    space: str
    pid: int
    started: str
    monotonic: float
    wall: float
    seconds: float

    @classmethod
    def now(cls, seconds: float) -> Lease:
        """A lease of this process from now on."""
        pid = os.getpid()
        return cls(_boot(), _space(), pid, _started(pid) or "", time.monotonic(), time.time(), seconds)

    def alive(self) -> bool:
        """Whether its holder may still be at work.

        Where process numbers mean the same, the process itself decides; else, in one boot, the monotonic clock, which nobody sets back.
        Elsewhere only the wall clock is there to compare; where it has been set back by more than a lease's life the lease is dead: a
        request asked twice costs less than one never asked.
        """
        if self.boot and self.boot == _boot():
            if self.space == _space() and self.started:
                return _started(self.pid) == self.started  # however long it takes: a batch may run for a day
            in_time = time.monotonic() < self.monotonic + self.seconds
            return in_time and (self.space != _space() or _started(self.pid) is not None)
        return abs(time.time() - self.wall) < GENEROUS * self.seconds


def _started(pid: int) -> str | None:
    """When a process started, in the system's own terms; empty where it does not say, None where there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which is in brackets and may hold anything: state, parent, ..., and as the 20th the start in clock ticks.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]  # Z: killed, its parent has not noticed yet
    if os.name == "nt":  # there, signal 0 would interrupt the process instead of asking after it
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # it exists and is somebody else's
        return ""
    return ""


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
