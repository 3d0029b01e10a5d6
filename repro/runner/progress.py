"""Show runs as they go: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from repro.formatting import clock

PLAIN_SECONDS = 15.0
MARKS = {
    "ok": ("done", "green"),
    "diverged": ("diverged", "yellow"),
    "interrupted": ("stopped", "yellow"),
    "postponed": ("waits", "yellow"),
}


class Pace:
    """Steps finished of one run and when, for rate and time left."""

    def __init__(self) -> None:
        """Start the clock at the first event."""
        self.first: tuple[float, int] | None = None
        self.steps = self.step = 0
        self.images = 0
        self.loss: float | None = None
        self.phase = "start"

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the run."""
        self.phase = event.get("phase", self.phase)
        self.images = event.get("batch", self.images)
        self.loss = event.get("loss", self.loss)
        if "step" in event:
            self.step, self.steps = event["step"], event["steps"]
            self.first = self.first or (time.monotonic(), self.step)

    @property
    def rate(self) -> float:
        """Steps per second since the first event."""
        if self.first is None or self.step <= self.first[1]:
            return 0.0
        return (self.step - self.first[1]) / max(1e-6, time.monotonic() - self.first[0])

    def line(self) -> str:
        """Loss, images per second and time left, as far as they are known."""
        if self.phase != "train" or not self.rate:
            return self.phase
        left = clock((self.steps - self.step) / self.rate)
        loss = "" if self.loss is None else f"loss {self.loss:.3f}  "
        return f"{loss}{self.rate * self.images:.0f} img/s  {left} left"


class LiveDisplay:
    """One bar for all runs, one for each that is running."""

    def __init__(self, console: Console, total: int) -> None:
        """Take the console and the number of runs."""
        self.console, self.total = console, total
        self.bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self.live = Live(self.bars, console=console, refresh_per_second=4)
        self.all = self.bars.add_task("all runs", total=total, note=f"0 of {total}")
        self.tasks: dict[str, TaskID] = {}
        self.paces: dict[str, Pace] = {}
        self.ended = 0

    def __enter__(self) -> Self:
        """Take over the lower part of the terminal."""
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self.live.__exit__(kind, value, trace)

    def __call__(self, name: str, event: Mapping[str, Any]) -> None:
        """Move the run's bar, or replace it by a line when the run has ended."""
        if "ended" in event:
            self._end(name, event["ended"])
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=None, note="")
            self.paces[name] = Pace()
        pace = self.paces[name]
        pace.take(event)
        self.bars.update(self.tasks[name], completed=pace.step, total=pace.steps or None, note=pace.line())
        parts = sum(p.step / p.steps for n, p in self.paces.items() if p.steps and n in self.tasks)
        self.bars.update(self.all, completed=self.ended + parts)

    def _end(self, name: str, end: Any) -> None:  # noqa: ANN401 - launch.Ended, which this layer need not know
        self.ended += 1
        if name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))
        self.bars.update(self.all, completed=self.ended, note=f"{self.ended} of {self.total}")
        self.console.print(ending(name, end))


class PlainDisplay:
    """A line when a run starts and ends, and every fifteen seconds between."""

    def __init__(self, console: Console, total: int) -> None:
        """Take the console and the number of runs."""
        self.console, self.total, self.ended = console, total, 0
        self.paces: dict[str, Pace] = {}
        self.said: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def __call__(self, name: str, event: Mapping[str, Any]) -> None:
        """Print what is new, rarely."""
        if "ended" in event:
            self.ended += 1
            self.console.print(
                Text(f"[{self.ended}/{self.total}] ").append(ending(name, event["ended"])), soft_wrap=True
            )
            return
        pace = self.paces.setdefault(name, Pace())
        pace.take(event)
        now = time.monotonic()
        if now - self.said.setdefault(name, now) > PLAIN_SECONDS:
            self.said[name] = now
            self.console.print(Text(f"{name}  step {pace.step}/{pace.steps}  {pace.line()}"), soft_wrap=True)


def ending(name: str, end: Any) -> Text:  # noqa: ANN401 - launch.Ended
    """Return the line that stays when a run has ended."""
    word, colour = MARKS.get(end.status, (end.status, "red"))
    text = Text(f"{word:>8} ", style=colour).append(name, style="default")
    if end.seconds:
        text.append(f"  {clock(end.seconds)}", style="dim")
    if end.message:
        text.append(f"  {end.message}", style="default")
    return text


def display(console: Console, total: int) -> LiveDisplay | PlainDisplay:
    """Return the display that suits the console."""
    return LiveDisplay(console, total) if console.is_terminal else PlainDisplay(console, total)
