"""Make the next batches in threads while this one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
DEPTH = 3
"""Most batches that are made ahead on a host: at about 5 ms a batch of scaled images, one a step of 2 ms."""


class Ahead(Generic[T]):
    """A pure function of the step, computed for the ``depth`` steps after the one that was last asked for.

    Worth threads where the device does the work (a GPU); on a CPU that trains, they take the time they save. Results
    are handed out in the order in which they are asked for; at most ``depth`` of them wait, and one that nobody asked
    for is dropped with whatever it raised. ``take`` is called, in the thread of the caller, with each result that is
    handed out.
    """

    def __init__(
        self,
        function: Callable[[int], Any],
        take: Callable[[Any], T] = lambda made: made,
        *,
        depth: int = 1,
        threads: int = 1,
    ) -> None:
        """Keep the functions; nothing is computed before the first call.

        Args:
            function: step -> result; with more than one thread, called from several at a time.
            take: result -> what the caller gets.
            depth: steps computed ahead, 1 or more.
            threads: of them, how many at a time.
        """
        self._function, self._take, self._depth = function, take, depth
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._waiting: deque[tuple[int, Future[Any]]] = deque()

    def __call__(self, step: int) -> T:
        """Return ``function(step)`` and begin with the steps after it; raise what the function raised for this step."""
        if not self._waiting or self._waiting[0][0] != step:
            self._drop()
            self._begin(step)
        _, first = self._waiting.popleft()
        for ahead in range(step + 1 + len(self._waiting), step + 1 + self._depth):
            self._begin(ahead)
        return self._take(first.result())

    def _begin(self, step: int) -> None:
        self._waiting.append((step, self._pool.submit(self._function, step)))

    def _drop(self) -> None:
        """Forget what waits; what has not begun never does."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()

    def __enter__(self) -> Ahead[T]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; batches that nobody asked for are dropped."""
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)
