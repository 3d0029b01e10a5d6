"""Make the next batch in a thread while this one is used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A pure function of the step, computed one step ahead of the step that was last asked for.

    Worth a thread where the device does the work (a GPU); on a CPU that trains, it takes the time it saves. ``take``
    is called, in the thread of the caller, with each result that is handed out.
    """

    def __init__(self, function: Callable[[int], Any], take: Callable[[Any], T] = lambda made: made) -> None:
        """Keep the functions; nothing is computed before the first call."""
        self._function, self._take = function, take
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[Any]] | None = None

    def __call__(self, step: int) -> T:
        """Return ``function(step)`` and begin with the step after it; raise what the function raised for this step."""
        if self._next is None or self._next[0] != step:
            self._next = (step, self._pool.submit(self._function, step))
        result = self._next[1].result()
        self._next = (step + 1, self._pool.submit(self._function, step + 1))
        return self._take(result)

    def __enter__(self) -> Ahead[T]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; a batch that nobody asked for is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
