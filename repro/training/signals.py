"""Being asked to stop: Ctrl-C, SIGTERM, a terminal that closes (SIGHUP), and Slurm's warning (SIGUSR1)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


def numbers(*names: str) -> tuple[int, ...]:
    """Return the numbers of those signals that this system knows; without SIGHUP under ``nohup``, which ignores it."""
    found = (getattr(signal, name) for name in names or NAMES if hasattr(signal, name))
    return tuple(int(n) for n in found if n.name != "SIGHUP" or signal.getsignal(n) is not signal.SIG_IGN)


class Interrupted(Exception):  # noqa: N818 - not an error: a stop that was asked for
    """The run was asked to stop; its checkpoint holds every step that was finished."""

    def __init__(self, number: int = 0) -> None:
        """Keep the signal's number; 0 where another process of the group was asked."""
        super().__init__(number)
        self.number = number


class Stopped(KeyboardInterrupt):
    """The command was asked to stop, and everything below it has saved and stopped."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(number)
        self.number = number


@dataclass
class StopFlag:
    """Set by a signal, read where stopping is safe. Outside the main thread nothing is taken over."""

    raised: bool = False
    number: int = 0
    previous: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in numbers():
                self.previous[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _raise(self, number: int, _: object) -> None:
        self.raised, self.number = True, number


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)


def interruptible() -> None:
    """Let SIGTERM, SIGUSR1 and SIGHUP raise ``Interrupted`` where no ``StopFlag`` holds them, so that work is tidy."""
    for number in numbers("SIGTERM", "SIGUSR1", "SIGHUP"):
        signal.signal(number, _interrupt)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold the signals back meanwhile, here and in processes that are started here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Take signals again in a process that was started with them held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers())
