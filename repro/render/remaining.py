"""Sentences on what was not run, and what it would cost."""

from __future__ import annotations

import math

from repro.compute import USUAL
from repro.plural import many
from repro.views import Lack, Remaining

LACKING = ("Table", "Cells without a number", "Runs to do", "Expected")
HOUR = 3600.0


def lacking(found: Remaining) -> list[tuple[str, str, str, str]]:
    """Return a line for each table that lacks runs, and one for all: table, cells without a number, runs, time."""
    lines = [(lack.name, *_lacking(lack)) for lack in found.tables if lack.runs or lack.empty]
    return [*lines, ("all, each run once", *_lacking(found.whole))] if lines else []


def _lacking(lack: Lack) -> tuple[str, str, str]:
    return f"{lack.empty} of {lack.cells}", f"{lack.runs:,}", cost(lack)


def cost(lack: Lack) -> str:
    """Return the expected time of one process, and what is not known; operations where no time is."""
    if not lack.runs:
        return "no training"
    parts = [duration(lack.seconds)] if lack.seconds else []
    operations = _operations(lack)
    if lack.unknown and not lack.seconds:
        parts += [operations or f"{many(lack.unknown, 'run')} of unknown length"]
    elif lack.unknown:
        parts += [f"{many(lack.unknown, 'run')} of unknown length"]
    return " and ".join(parts)


def duration(seconds: float) -> str:
    """Return a length of time to two digits or so: ``40 s``, ``12 min``, ``3.5 h``, ``4.2 days``."""
    for size, unit, most in ((1.0, "s", 90), (60.0, "min", 90), (HOUR, "h", 48)):
        if seconds < most * size:
            whole = seconds / size
            return f"{whole:.1f} {unit}" if unit == "h" and whole < 10 else f"{whole:.0f} {unit}"  # noqa: PLR2004
    return f"{seconds / HOUR / 24:,.1f} days"


def _operations(lack: Lack) -> str:
    if not math.isfinite(lack.flops) or not lack.flops:
        return ""
    speed = f"sustains {USUAL.tflops:g} TFLOP/s and needs {USUAL.launch_us:g} microseconds to launch an operation"
    return f"{lack.flops / 1e18:,.2f} EFLOP, {duration(lack.device_seconds)} of a device that {speed} (both assumed)"


def whole(found: Remaining) -> str:
    """Return what another profile lacks in one sentence; empty where it lacks nothing."""
    lack, seeds = found.whole, found.seeds
    if not lack.runs:
        return ""
    aim = "one seed" if seeds == 1 else f"{seeds} seeds"
    have = "none" if lack.empty == lack.cells else "all" if not lack.empty else f"{lack.cells - lack.empty}"
    return (
        f"Profile {found.profile}: {have} of its {lack.cells} scores {'was' if have == 'none' else 'were'} run; "
        f"{aim} of each would take {runs(lack)}."
    )


def aimed(found: Remaining) -> str:
    """Return what the lines of ``lacking`` count, in one sentence."""
    if not (found.whole.runs or found.whole.empty):
        return f"Nothing: every cell has its {found.seeds} seeds."
    times = f" Times are of one process ({found.source})." if found.whole.seconds else ""
    words = f"--seeds {found.seeds}"
    if found.profile != "shapes":  # the command's default
        words = f"--profile {found.profile} {words}"
    return (
        f"Counted up to {found.seeds} seeds a cell, first stages of training included.{times} "
        f"The runs by name: `repro plan all {words}`; to run them: `repro run TABLE {words}`."
    )


def runs(lack: Lack) -> str:
    """Return how many runs are to be done, and what they cost."""
    if not lack.runs:
        return "nothing"
    return f"{many(lack.runs, 'run')}, {cost(lack)}"
