"""Cores and memory that a container leaves to this process: control groups (v1 and v2), affinity, free memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60
"""Bytes from which version 1 means that there is no limit (it says the largest number of whole pages)."""


@dataclass(frozen=True)
class System:
    """Where the system describes itself; tests give folders of their own."""

    cgroup: Path = Path("/sys/fs/cgroup")
    proc: Path = Path("/proc")

    def _own(self) -> dict[str, str]:
        """Return the control group of this process by controller; version 2 has the one controller ``""``."""
        found: dict[str, str] = {}
        for line in _text(self.proc / "self" / "cgroup").splitlines():
            _, names, path = (*line.split(":", 2), "", "")[:3]
            found |= dict.fromkeys(names.split(","), path)
        return found

    def folders(self, controller: str) -> Iterator[Path]:
        """Yield the folders whose limits hold for this process: its own group's and those of all groups above.

        In a container the path may be that of the host, and the container's group is then the root of what is mounted.

        Args:
            controller: ``cpu`` or ``memory``.
        """
        own = self._own()
        for name, root in (
            ("", self.cgroup), ("", self.cgroup / "unified"), (controller, self.cgroup / controller),
            (controller, self.cgroup / "cpu,cpuacct"),
        ):  # fmt: skip
            if name not in own or (root.name == "cpu,cpuacct" and controller != "cpu"):
                continue
            parts = [part for part in own[name].split("/") if part not in {"", ".."}]
            yield from (root.joinpath(*parts[:i]) for i in range(len(parts), -1, -1))


SYSTEM = System()


@dataclass(frozen=True)
class Cores:
    """How many cores a process may use, how many the machine has, and the limit that is lower."""

    count: int
    machine: int
    limit: str = ""
    """``container quota`` or ``affinity``; empty: all of the machine's."""

    @property
    def about(self) -> str:
        """Return ``2 of 64 cores: container quota``; empty where nothing limits them."""
        return f"{self.count} of {self.machine} cores: {self.limit}" if self.limit else ""


def cores(system: System = SYSTEM) -> Cores:
    """Return the cores of this process, at least one: whole ones of a quota, else those of the affinity."""
    machine = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    allowed = quota(system)
    if allowed < bound:
        return Cores(max(1, math.floor(allowed)), machine, "container quota")
    return Cores(max(1, bound), machine, "affinity" if bound < machine else "")


def quota(system: System = SYSTEM) -> float:
    """Return the processor time that the control groups allow, in cores; infinity where they allow all."""
    found = [math.inf]
    for folder in system.folders("cpu"):
        words = _text(folder / "cpu.max").split() or [
            _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip(),
        ]  # fmt: skip
        limit, period = (_number(word) for word in (*words, "", "")[:2])
        if limit is not None and period is not None and limit > 0 and period > 0:
            found.append(limit / period)
    return min(found)


@dataclass(frozen=True)
class Memory:
    """Bytes that new processes may take, and the limit that says so."""

    available: int
    limit: str
    """``container memory`` or ``free memory``."""


def memory(system: System = SYSTEM) -> Memory | None:
    """Return the memory that is left: of the machine, or of a control group where that is less; None if not known.

    Pages of files, which the system takes back when it needs them, count as left.
    """
    found = []
    for line in _text(system.proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        kilobytes = _number((rest.split() or [""])[0])
        if name == "MemAvailable" and kilobytes is not None:
            found.append(Memory(kilobytes * 1024, "free memory"))
    for folder in system.folders("memory"):
        for most, used, reclaimable in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(_text(folder / most))
            if limit is None or limit >= UNLIMITED:
                continue
            rows = (line.split() for line in _text(folder / "memory.stat").splitlines())
            stat = {row[0]: _number(row[1]) or 0 for row in rows if len(row) == 2}  # noqa: PLR2004 - a name, a number
            taken = max(0, (_number(_text(folder / used)) or 0) - stat.get(reclaimable, 0))
            found.append(Memory(max(0, limit - taken), "container memory"))
    return min(found, key=lambda one: one.available, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    """Return a whole number, None for ``max``, ``-1`` and what is none."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004 - 64 bits have 20 digits
