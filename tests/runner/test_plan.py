"""Plans: each experiment once, first stages first."""

from __future__ import annotations

from pathlib import Path

from repro.config import profiles
from repro.paper.tables import all_tables
from repro.results.records import Record, RecordStore
from repro.runner.plan import Plan, make_plan

EMPTY = RecordStore(())


def _plan(*numbers: int, seeds: int = 1, profile: str = "shapes", shelf: RecordStore = EMPTY) -> Plan:
    tables = [all_tables()[number] for number in numbers]
    return make_plan(tables, profiles.get(profile), range(seeds), shelf)


def test_tables_1_to_5_are_nineteen_trainings() -> None:
    """33 printed scores of Tables 1-5 and their regions need exactly 19 trainings, in every profile."""
    for profile in profiles.PROFILES:
        planned = _plan(1, 2, 3, 4, 5, profile=profile)
        assert planned.trainings == 19
        assert len(planned.jobs) == 19


def test_seeds_multiply_the_jobs_not_the_trainings() -> None:
    """Three seeds are three jobs of one training; all of a seed come before the next seed's."""
    planned = _plan(2, seeds=3)
    assert planned.trainings == 8
    assert [job.seed for job in planned.jobs] == [0] * 8 + [1] * 8 + [2] * 8


def test_first_stages_come_first() -> None:
    """Every job stands behind all that it builds on (Table 7's three stages, MS and CRF)."""
    planned = _plan(6, 7, 9)
    seen: set[str] = set()
    for job in planned.jobs:
        assert set(job.after) <= seen
        seen.add(job.name)
    table7 = _plan(7)
    assert table7.trainings == 9
    assert sum(not job.trains for job in table7.jobs) == 2


def test_recorded_runs_are_done_and_reference_records_do_not_count(tmp_path: Path) -> None:
    """A local record, diverged or not, is not run again; the project's own never stops a user's run."""
    job = _plan(2).jobs[0]

    def shelf(place: str, status: str) -> RecordStore:
        meta = {"key": job.run.key, "seed": 0, "status": status}
        return RecordStore((Record(tmp_path / job.name, meta, place),))

    assert job.name in _plan(2, shelf=shelf("local", "ok")).done
    assert job.name in _plan(2, shelf=shelf("local", "diverged")).done
    assert job.name not in _plan(2, shelf=shelf("local", "interrupted")).done
    assert job.name not in _plan(2, shelf=shelf("reference", "ok")).done
