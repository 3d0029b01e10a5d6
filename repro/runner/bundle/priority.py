"""The order in which a short slot runs its jobs: a whole seed before the next, claims first, long runs never last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from repro.config.errors import BundleError
from repro.config.experiment import Job, Run

ORDER = (
    "base", "gcn-k15", "gcn-k15-br", "stack-k7", "gcn-k3", "conv-k7", "gcn-k7", "stack-k11", "stack-k9", "stack-k5",
    "conv-k3", "gcn-k11", "conv-k5", "gcn-k9", "stack-k7-m1024", "conv-k9", "gcn-k5", "gcn-k13", "stack-k7-m210",
)  # fmt: skip
"""Networks of Tables 1 to 5: what the most claims compare first; the slow stacks well before the end."""


def ordered(jobs: Iterable[Job], first: Sequence[str] = ()) -> tuple[Job, ...]:
    """Return jobs by seed, then by rank: those named in ``first``, those of ``ORDER``, the others as planned.

    A job comes after those that it builds on, which move up with it.

    Args:
        jobs: those of a plan.
        first: names of networks, such as ``gcn-k15``, or of runs without their seed, in the order wanted.

    Raises:
        BundleError: a name that no job has.
    """
    jobs = tuple(jobs)
    known = {_network(job.run) for job in jobs} | {job.run.slug for job in jobs} | {_named(job.run) for job in jobs}
    if unknown := [name for name in first if name not in known]:
        names = ", ".join(sorted({_network(job.run) for job in jobs}))
        raise BundleError(f"--priority {unknown[0]}: no run of this plan has that name; choose from {names}")
    ranks = {name: i for i, name in enumerate((*first, *(name for name in ORDER if name not in first)))}
    last = len(ranks)

    def rank(job: Job) -> tuple[int, int]:
        names = (_network(job.run), job.run.slug, _named(job.run))
        return job.seed, min((ranks[name] for name in names if name in ranks), default=last)

    by_name = {job.name: job for job in jobs}
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        for name in job.after:
            if name in by_name:
                add(by_name[name])
        found.setdefault(job.name, job)

    for job in sorted(jobs, key=rank):
        add(job)
    return tuple(found.values())


def _network(run: Run) -> str:
    """Return a run's name without its profile, such as ``gcn-k15-br``."""
    return run.slug.removeprefix(f"{run.profile}-")


def _named(run: Run) -> str:
    return f"{run.slug}-{run.key}"
