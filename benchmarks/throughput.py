"""Images a second of whole runs, in training and in evaluation, and the share of the device's matrix rate.

    REPRO_DATA=... python benchmarks/throughput.py [--profile camvid_half] [--device cpu] [--steps 12] [--compile]

The runs are those of Tables 1 to 5 that the profile's evidence rests on, made as `repro run` makes them: the decoded
store, the recipe, Fabric, the log. Networks start at random, which takes as long. A square bf16 matrix product is
timed in the same turns. ``tables_hours`` is the measured time of a step and of a test image times what
`repro plan 1-5 --seeds 3` counts, networks that were not timed at the rate of their multiply-adds.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from _rate import Product
from _sitting import arguments, report, sized

from repro.config import profiles
from repro.config.errors import DataError
from repro.config.experiment import Run, Start, Training
from repro.config.machine import Machine
from repro.config.networks import GCN, Conv, Conv1x1, Model, Stack
from repro.data.loader import eval_images
from repro.evaluation.evaluator import evaluate_images
from repro.paper.schema import Score
from repro.paper.tables import all_tables
from repro.runner import budget
from repro.runner.job import Session
from repro.training.checkpoint import Spent

TIMED = {
    "1 x 1": Model(Conv1x1()),
    "GCN k=3": Model(GCN(3)),
    "GCN k=7": Model(GCN(7)),
    "GCN k=15": Model(GCN(15)),
    "GCN + BR k=15": Model(GCN(15), refine=True),
    "Conv k=7": Model(Conv(7)),
    "Stack k=7": Model(Stack(7)),
}
SEEDS = 3
Seconds = dict[str, list[float]]
Row = dict[str, float]


def tables_runs(profile: profiles.Profile) -> tuple[Run, ...]:
    """Return the trainings of Tables 1 to 5, each once."""
    cells = (cell for number in range(1, 6) for row in all_tables()[number].rows for cell in row.cells)
    found = (profile.resolve(cell.training) for cell in cells if isinstance(cell, Score))
    return tuple(dict.fromkeys(run for run in found if run is not None))


def open_session(run: Run, place: Machine, folder: Path) -> Session:
    """Return a session of a run that starts at random."""
    return Session(replace(run, start=Start("random")), 0, place, folder, None)


def time_training(run: Run, steps: int, place: Machine) -> float:
    """Return the seconds of a step."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(replace(run, steps=steps), replace(place, checkpoint_seconds=float("inf")), Path(folder))
        outcome = session.train(lambda _: None, Spent())
    assert outcome is not None
    return outcome.seconds / steps


def time_evaluation(run: Run, images: int, place: Machine) -> float:
    """Return the seconds of a test image."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(run, place, Path(folder))
        predictor = session.predictor(session.net.to(session.fabric.device))
        items = list(islice(eval_images(session.test, run.test, 0, 1), images))
        start = time.perf_counter()
        evaluate_images(predictor, items, len(session.test_set.classes))
        return (time.perf_counter() - start) / len(items)


def time_product(call: Product) -> float:
    """Return the operations a second of matrix products, the median of nine calls; the first is not counted."""
    call()
    spent = []
    for _ in range(9):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return call.operations / statistics.median(spent)


def hours(profile: profiles.Profile, training: Seconds, testing: Seconds) -> float:
    """Return the hours of Tables 1 to 5 with three seeds, one run at a time."""
    timed = {name: profile.resolve(Training(model)) for name, model in TIMED.items()}
    train_pace = {run.key: statistics.median(training[name]) for name, run in timed.items() if run}
    test_pace = {run.key: statistics.median(testing[name]) for name, run in timed.items() if run}
    counted = {run.key: budget.of(run) for run in tables_runs(profile)}
    typical = {
        kind: statistics.median(pace[key] / found.macs for key, found in counted.items() if key in pace and found)
        for kind, pace in (("train", train_pace), ("test", test_pace))
    }
    seconds = 0.0
    for run in tables_runs(profile):
        found, images = counted[run.key], budget.image_count(run.test) or 0
        assert found is not None
        seconds += run.steps * train_pace.get(run.key, found.macs * typical["train"])
        seconds += images * test_pace.get(run.key, found.macs * typical["test"])
    return SEEDS * seconds / budget.HOUR


def shares(profile: profiles.Profile, name: str, training: list[float], testing: list[float], rate: float) -> Row:
    """Return images a second and the share of the matrix rate (operations a second), of training and of evaluation."""
    run = profile.resolve(Training(TIMED[name]))
    assert run is not None
    found, tests = budget.of(run), budget.image_count(run.test)
    assert found is not None
    assert tests is not None
    step, image = statistics.median(training), statistics.median(testing)
    work = budget.OPERATIONS * budget.FORWARD_AND_BACKWARD * found.macs * run.recipe.batch_size
    return {
        "train_images_per_second": round(run.recipe.batch_size / step, 2),
        "train_share_of_matrix_rate": round(work / step / rate, 3),
        "test_images_per_second": round(1 / image, 2),
        "test_share_of_matrix_rate": round(budget.OPERATIONS * found.test_macs / tests / image / rate, 3),
    }


def measure(
    profile: profiles.Profile, place: Machine, steps: int, images: int, rounds: int
) -> tuple[Seconds, Seconds, float]:
    """Return the seconds of steps and of test images, by network and round, and the matrix rate."""
    runs = {name: profile.resolve(Training(model)) for name, model in TIMED.items()}
    training: Seconds = {name: [] for name in runs}
    testing: Seconds = {name: [] for name in runs}
    products, call = [], Product("cuda" if place.device == "cuda" else "cpu")
    for turn in range(rounds + 1):
        for name, run in runs.items():
            assert run is not None
            spent = time_training(run, steps, place), time_evaluation(run, images, place)
            if turn or not rounds:  # the first round warms the device up
                training[name].append(spent[0])
                testing[name].append(spent[1])
        products.append(time_product(call))
    return training, testing, statistics.median(products)


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__)
    known = ("shapes", "camvid_half", "camvid_short", "camvid")
    parser.add_argument("--profile", choices=known, default=sized("camvid_half", "shapes"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=sized(12, 2))
    parser.add_argument("--images", type=int, default=sized(16, 2))
    parser.add_argument("--rounds", type=int, default=sized(2, 0))
    parser.add_argument("--compile", action="store_true", help="train through torch.compile")
    asked = parser.parse_args()
    root = Path(os.environ["REPRO_DATA"]) if os.environ.get("REPRO_DATA") else None
    place = Machine(data_root=root, device=asked.device, threads=torch.get_num_threads(), compile=asked.compile)
    profile = profiles.get(asked.profile)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            training, testing, rate = measure(profile, place, asked.steps, asked.images, asked.rounds)
    except DataError as error:
        print(f"throughput: not measured: {error}")
        return
    rows = {name: shares(profile, name, training[name], testing[name], rate) for name in TIMED}
    for name, row in rows.items():
        print(f"{name:16}" + "  ".join(f"{what.replace('_', ' ')} {value}" for what, value in row.items()))
    device = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    name = f"throughput_{asked.profile}_{asked.device}" + "_compiled" * asked.compile
    report(name, {}, device=device, threads=torch.get_num_threads(), networks=rows, matrix_tflops=round(rate / 1e12, 3),
           tables_hours=round(hours(profile, training, testing), 2))  # fmt: skip


if __name__ == "__main__":
    main()
