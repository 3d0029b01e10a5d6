"""Operations and launches of runs, stored counts against fresh ones, times by kind of device."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro.cli import plan
from repro.cli.cost import all_runs
from repro.cli.options import Request
from repro.config import profiles
from repro.config.errors import SpecError
from repro.config.experiment import MULTI_SCALE, Evaluation, Job, Run, Training
from repro.config.networks import GCN, Classifier, Conv1x1, Model
from repro.config.profiles import get
from repro.models import flops
from repro.paper.tables import all_tables
from repro.report.missing import remaining
from repro.results.records import Record, RecordStore
from repro.runner import budget
from repro.runner.budget import Estimates, Pass, Speed
from repro.runner.launchers import Budget
from repro.runner.plan import make_plan
from tests.support import ROOT
from tests.support.clock import Clock
from tests.support.short_runs import job

STAGE_1 = Training(Model(GCN(15), refine=True), "coco_voc_aug")


CITY_1 = Training(Model(GCN(25), refine=True), "cityscapes_mix")


def _run(training: Training, evaluation: Evaluation | None = None, profile: str = "paper") -> Run:
    run = profiles.get(profile).resolve(training, evaluation)
    assert run is not None
    return run


def test_every_pass_of_every_profile_is_stored_and_no_other() -> None:
    """A changed spec or profile needs `repro cost all --store`, and this says so."""
    assert {one.name for one in budget.passes(all_runs())} == set(budget.stored())


def test_stored_counts_are_those_of_the_modules() -> None:
    """A sample counted anew: the largest of profile shapes, a classifier, and the paper's final network."""
    final = Pass(Model(GCN(15), refine=True), 21, 512, 512)
    small = Pass(Model(GCN(15), refine=True, backbone="small"), 6, 96, 96)
    for one in (final, small, Pass(Classifier("resnet50_gcn"), 1000, 224, 224)):
        found = budget.stored()[one.name]
        assert found["macs"] == flops.network_macs(one.model, one.classes, one.height, one.width)
        assert found["params"] == flops.network_params(one.model, one.classes)
        assert found["operations"] == flops.network_operations(one.model, one.classes, one.height, one.width)


def test_launched_operations_by_hand() -> None:
    """ResNet-50 has 53 convolutions and norms, 49 activations, 16 sums and a pooling; the heads add theirs.

    The baseline: a convolution for each of four maps, five deconvolutions, three sums. GCN: four convolutions and a sum
    a map. Pixels and batch change nothing.
    """
    base, gcn = (Model(head, backbone="resnet50") for head in (Conv1x1(), GCN(15)))
    trunk = 53 + 53 + 49 + 16 + 1
    assert flops.network_operations(base, 11, 384, 480) == trunk + 4 + 5 + 3
    assert flops.network_operations(gcn, 11, 384, 480) == trunk + 4 * (4 + 1) + 5 + 3
    assert flops.network_operations(gcn, 11, 96, 96) == flops.network_operations(gcn, 11, 384, 480)


def test_a_step_takes_its_launches_however_little_it_computes() -> None:
    """Two operations a forward one, ten microseconds each, where that is longer than the arithmetic; never both."""
    run = replace(_run(Training(Model(GCN(3)))), steps=1000)
    one = budget.training_pass(run).name
    images = budget.image_count(run.test)
    found = budget.of(run, {one: {"macs": 10**9, "params": 7, "operations": 100}})
    assert found is not None
    assert images is not None
    assert (found.train_launches, found.test_launches) == (2 * 100 * 1000, 100 * images)
    by_launches = (200 * 1000 + 100 * images) * 10e-6 / 3600
    fast, slow = (budget.Speed(tflops, "") for tflops in (1e6, 1e-3))
    assert found.hours(fast) == pytest.approx(by_launches)
    assert found.launch_hours(slow) == pytest.approx(by_launches)
    assert found.hours(slow) == pytest.approx(found.flops / 1e9 / 3600)
    assert found.hours(replace(fast, launch_us=20.0)) == pytest.approx(2 * by_launches)


def test_batches_of_one_are_not_priced_by_arithmetic_alone() -> None:
    """2.4 million steps of ResNet-152, a picture each: 0.7 ms of arithmetic at 600 TFLOP/s, over 10 ms of launches."""
    found = budget.of(_run(Training(Model(GCN(15)))))
    assert found is not None
    hours = found.hours(budget.Speed(600.0, ""))
    assert hours * 3.6e6 / 300_000 > 10


def test_passes_of_crops_scales_and_mirrors() -> None:
    """Table 9's protocol: 4 squares x 5 scales x 2 mirrors, sides rounded up to 32."""
    run = _run(CITY_1, Evaluation(crops=4, scales=MULTI_SCALE, flip=True))
    found = budget.test_passes(run)
    assert len(found) == 40
    assert sorted({one.height for one in found}) == [512, 768, 1024, 1280, 1536]
    assert all(one.height == one.width for one in found)
    assert [(one.height, one.width) for one in budget.test_passes(_run(CITY_1))] == [(1024, 2048)]


def test_flops_by_hand() -> None:
    """Steps x batch x 3 passes in training, one pass a test image, two operations a multiply-add."""
    run = _run(Training(Model(GCN(3))))
    counts = {budget.training_pass(run).name: {"macs": 10, "params": 7, "operations": 0}}
    found = budget.of(run, counts)
    assert found is not None
    assert found.flops == 2 * (3 * 10 * run.steps * run.recipe.batch_size + 10 * 1449)
    assert found.hours(budget.Speed(1e-12, "")) == pytest.approx(found.flops / 3600)
    tested = budget.of(replace(run, evaluation=Evaluation(rim="filled")), counts)
    assert tested is not None
    assert tested.flops == 2 * 10 * 1449
    assert budget.of(run, {}) is None


def test_stages_see_the_papers_images() -> None:
    """109,892 = 99,310 of COCO + 10,582 (section 4.2); 22,973 = 19,998 coarse + 2,975 fine (section 4.3)."""
    for training, total in ((STAGE_1, 109_892), (CITY_1, 22_973)):
        assert sum(budget.image_count(source) or 0 for source in _run(training).train) == total
    assert all(source.crop for source in _run(CITY_1).train)
    assert budget.image_count(_run(STAGE_1).test) == 1449


def test_speed_is_given_or_measured() -> None:
    """Given before measured; measured from the seconds of this machine's trainings; nothing invented."""
    planned = make_plan([all_tables()[1]], profiles.get("shapes"), (0,), RecordStore(()))
    run = planned.jobs[0].run
    one = budget.of(run)
    assert one is not None
    meta = {"key": run.key, "seed": 0, "status": "ok", "seconds": 6 * one.train_macs / 1e12}
    record = Record(Path("x"), meta, "local")
    measured = plan.speed(0.0, RecordStore((record,)), planned)
    assert measured is not None
    assert measured.tflops == pytest.approx(1.0)
    assert plan.speed(0.0, RecordStore(()), planned) is None
    assert plan.speed(5.0, RecordStore((record,)), planned) == Speed(5.0, "as given")
    short = replace(run, steps=10)
    cut = budget.of(short)
    assert cut is not None
    meta |= {"key": short.key, "steps": 10, "seconds": 12 * cut.train_macs / 1e12}
    both = plan.speed(0.0, RecordStore((record, Record(Path("y"), meta, "local"))), planned)
    assert both is not None
    assert both.source == "measured here over 2 trainings"
    alone = plan.speed(0.0, RecordStore((Record(Path("y"), meta, "local"),)), planned)
    assert alone is not None
    assert alone.tflops == pytest.approx(0.5)
    cuda = Record(Path("z"), meta | {"device_type": "cuda"}, "local")
    assert plan.speed(0.0, RecordStore((cuda,)), planned) is None
    assert plan.speed(0.0, RecordStore((cuda,)), planned, "cuda") is not None
    given = plan.speed(5.0, RecordStore(()), planned, launch_us=3.0)
    assert given == Speed(5.0, "as given", 3.0, "as given")
    with pytest.raises(SpecError, match="give --tflops too"):
        plan.speed(0.0, RecordStore(()), planned, launch_us=3.0)


def test_storage_by_hand() -> None:
    """Weights of trainings alone; two checkpoints with one state a weight (SGD); frames of all images, four bytes."""
    run = _run(Training(Model(GCN(3))))
    params = budget.of(run).params  # type: ignore[union-attr]
    found = budget.storage([run, replace(run, evaluation=Evaluation(rim="filled"))])
    assert (found.weights, found.checkpoints) == (4 * params, 2 * 2 * 4 * params)
    assert found.decoded == (10_582 + 1_449) * 512 * 512 * 4
    assert budget.storage([_run(CITY_1)]).decoded == (19_998 + 2_975 + 500) * 1024 * 2048 * 4
    assert budget.storage([_run(Training(Classifier("resnet50"), "imagenet"))]).unknown == (
        "imagenet/train",
        "imagenet/val",
    )


def test_the_page_of_scales_has_the_plans_costs() -> None:
    """docs/scale.md is what the plan computes; REPRO_GOLDEN=write renews it."""
    path = ROOT / "docs" / "scale.md"
    text = path.read_text(encoding="utf-8")
    start = "<!-- costs: written by REPRO_GOLDEN=write pytest tests/runner/test_budget.py, not by hand -->\n"
    before, rest = text.split(start)
    after = rest.split("<!-- end of costs -->")[1]
    block = plan.page(profiles.get("paper"), list(all_tables().values()), budget.Speed(150.0, ""))
    whole = f"{before}{start}\n{block}\n\n<!-- end of costs -->{after}"
    if os.environ.get("REPRO_GOLDEN") == "write":
        path.write_text(whole, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == whole


def test_the_papers_plan_needs_no_torch() -> None:
    """Data, parameters, multiply-adds and hours of every run, from stored counts."""
    code = (
        "import sys; from repro.cli.app import app; from click.testing import CliRunner;"
        "r = CliRunner().invoke(app, 'plan all -p paper --tflops 150'.split(), catch_exceptions=False);"
        "assert 'table10: repro submit' in r.output and 'device-hours at 150' in r.output, r.output;"
        "assert 'runs not counted' not in r.output;"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


JOBS = make_plan([all_tables()[1]], get("shapes"), (0,), RecordStore(())).jobs


def _record(index: int, place: str, seconds: float, device: str = "AMD EPYC", **more: Any) -> Record:
    run = JOBS[index].run
    meta = {"key": run.key, "seed": 0, "status": "ok", "seconds_total": seconds, "device": device, "steps": run.steps}
    return Record(Path(f"{index}-{place}-{device}"), meta | {"slug": run.slug} | more, place)


H100 = "NVIDIA H100 80GB HBM3"


SHELF = RecordStore((
    _record(0, "reference", 90.0), _record(1, "reference", 60.0),
    _record(0, "reference", 5.0, H100), _record(1, "reference", 4.0, H100), _record(2, "reference", 3.0, H100),
))  # fmt: skip


def test_times_are_kept_by_kind_of_device() -> None:
    """A key that both have run, one that only the GPU has, one that neither has."""
    cpu, cuda = (Estimates.read(SHELF, kind) for kind in ("cpu", "cuda"))
    assert [cpu.seconds(job.run) for job in JOBS[:4]] == [90.0, 60.0, None, None]
    assert [cuda.seconds(job.run) for job in JOBS[:4]] == [5.0, 4.0, 3.0, None]
    assert cpu.source == "times of the reference records' machine"
    assert cuda.source == f"times of the reference records' {H100}"


def test_this_machines_pace_is_that_of_its_kind() -> None:
    """A local CPU run scales the CPU's reference times alone."""
    shelf = RecordStore((*SHELF.records, _record(0, "local", 180.0)))
    cpu, cuda = (Estimates.read(shelf, kind) for kind in ("cpu", "cuda"))
    assert (cpu.scale, cuda.scale) == (2.0, 1.0)
    assert (cpu.seconds(JOBS[1].run), cuda.seconds(JOBS[1].run)) == (120.0, 4.0)


def test_the_clock_counts_on_a_gpu_whatever_its_process_computes() -> None:
    """A process that feeds a GPU from one thread has few seconds of its own."""
    more = {"threads": 1, "precision": "32-true", "cpu_seconds": 1.0}
    shelf = RecordStore((_record(0, "local", 50.0, H100, **more), _record(1, "local", 50.0, **more)))
    assert Estimates.read(shelf, "cuda").seconds(JOBS[0].run) == 50.0
    assert Estimates.read(shelf, "cpu").seconds(JOBS[1].run) == 1.0


def _shown(tmp_path: Path, device: str, *, as_json: bool = False) -> str:
    text = io.StringIO()
    request = Request(("table1",), "shapes", 1, None, "", tmp_path)
    plan.show_plan(Console(file=text, width=200), request, as_json=as_json, device=device)
    return text.getvalue()


def test_a_plan_promises_a_laptop_no_gpus_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that only a GPU has run are of unknown length here, and it is said what took them how long."""
    monkeypatch.setattr(Request, "shelf", SHELF)
    monkeypatch.setattr(plan, "gpus", tuple)
    said = _shown(tmp_path, "auto")
    assert "expected: 2:30 of one process" in said
    assert "and 6 runs of unknown length" in said
    assert f"elsewhere: 0:03 for 1 run of unknown length here (times of the reference records' {H100})" in said
    tree = json.loads(_shown(tmp_path, "cpu", as_json=True))
    assert [job["expected_seconds"] for job in tree["jobs"][:3]] == [90.0, 60.0, None]
    assert [job["expected_seconds_elsewhere"] for job in tree["jobs"][:3]] == [5.0, 4.0, 3.0]


def test_a_machine_with_a_gpu_expects_a_gpus_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Request, "shelf", SHELF)
    monkeypatch.setattr(plan, "gpus", lambda: ("0",))
    assert "expected: 0:12 of one process" in _shown(tmp_path, "auto")
    assert "expected: 2:30 of one process" in _shown(tmp_path, "cpu")


def test_a_report_sums_the_times_of_one_kind() -> None:
    """The kind that leaves the fewest runs unknown, named; a sum of both would mean nothing."""
    table = [all_tables()[1]]
    found = remaining(table, get("shapes"), RecordStore(SHELF.records[:2]), ("local",), seeds=1)
    assert (found.whole.seconds, found.source) == (150.0, "times of the reference records' machine")
    both = remaining(table, get("shapes"), SHELF, ("local",), seeds=1)
    assert (both.whole.seconds, both.whole.unknown) == (12.0, 5)
    assert both.source == f"times of the reference records' {H100}"


def _flops(one: Job) -> float:
    found = budget.of(one.run)
    assert found is not None
    return found.flops


def test_a_job_takes_its_operations_at_the_pace_of_the_nearest_one() -> None:
    """Twice the steps take twice the time; before one has ended, what records show; without them nothing is known."""
    clock = Clock()
    budget = Budget(100.0, _flops, lambda one: 30.0 if one == job(100) else None, None, clock)
    assert (budget.expected(job(100)), budget.expected(job(200))) == (30.0, None)
    assert budget.fits(job(200))
    budget.begin(job(200))
    clock.now += 40
    budget.end(job(200), finished=True)
    assert budget.expected(job(100)) == pytest.approx(40 * _flops(job(100)) / _flops(job(200)))
    assert budget.left == 60
    assert budget.fits(job(200))
    assert not budget.fits(job(400))
    budget.begin(job(10))  # a short one of another pace: the nearest in operations counts
    clock.now += 10
    budget.end(job(10), finished=True)
    assert budget.expected(job(200)) == pytest.approx(40)
    assert budget.expected(job(10)) == pytest.approx(10)
    budget.begin(job(100))  # one that failed tells nothing
    clock.now += 1
    budget.end(job(100), finished=False)
    assert budget.expected(job(200)) == pytest.approx(40)
    evaluation = replace(job(200), run=replace(job(200).run, evaluation=Evaluation(flip=True)))
    assert budget.expected(evaluation) is None  # an evaluation does not go at the pace of trainings


def test_of_a_training_with_a_checkpoint_the_rest_counts(tmp_path: Path) -> None:
    """Three quarters done: a quarter of the time; a pace is taken from what was done in this sitting."""
    clock, one = Clock(), job(200)
    folder = tmp_path / one.name
    folder.mkdir()
    (folder / "checkpoint-00000100.pt").touch()
    (folder / "checkpoint-00000150.pt").touch()
    (folder / "checkpoint-x.pt").touch()
    budget = Budget(100.0, _flops, lambda _: 80.0, tmp_path, clock)
    assert budget.expected(one) == 20.0
    budget.begin(one)
    clock.now += 10
    budget.end(one, finished=True)
    assert budget.expected(job(200, seed=1)) == pytest.approx(40)
