"""Call a function for 0..n-1 in threads, a few ahead, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from repro.machine import cores

T = TypeVar("T")
MOST = 8
_AHEAD = 4


def ordered(function: Callable[[int], T], count: int, workers: int = 0) -> Iterator[T]:
    """Yield ``function(0)``, ``function(1)``, ... while the next ones are worked on; memory stays bounded.

    Args:
        function: called in threads; what it raises is raised here, in its turn.
        count: number of calls.
        workers: threads; 0: one a core, eight at most.
    """
    workers = workers or min(MOST, cores())
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i in range(count):
                waiting.append(pool.submit(function, i))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
