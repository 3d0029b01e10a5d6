"""One sitting on a GPU: steps, evaluation, peers, processes and rates, within a deadline.

    python benchmarks/gpu.py [--data-root DATA] [--seconds 150] [--steps 60]

The networks are those of `camvid_short` (ResNet-50, batch 4, 384 x 480), trained by the project's own loop on its own
batches; without CamVid (``--data-root`` or REPRO_DATA) pictures of its size and number are generated. A step is timed
between two waits for the device, the first twenty are not counted. ``eager`` launches each operation, ``graph`` replays
a CUDA graph where the loop has one, ``not deterministic`` lifts the promise of the same bits, ``one batch`` repeats a
single batch, so that what is missing to it is the wait for data. TFLOP/s are the multiply-adds of `repro cost` times
two, forward and backward, over the time of a step. Peers take the same precision, layout, size and batch, a batch that
lies on the device, torch's AdamW and cross entropy, and torch's own choice of algorithms; all take turns.

Results are written to ``results/<device>.json`` as each part ends. At the deadline the sitting ends, wherever it is;
what was not reached is named. A GPU is not needed for ``--smoke``.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _goals import WANTED
from _rate import Product
from _sitting import SMOKE, Goal, arguments, compare, left_out, machine, sized, write
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from train_step import frozen, plain_loss, smp_fpn, torchvision_net

from repro.config import profiles
from repro.config.experiment import Run, Start, Training
from repro.config.machine import Machine, cores, peak_memory
from repro.config.networks import GCN, Conv, Conv1x1, Model, Stack
from repro.models.numerics import repeatable
from repro.runner import budget
from repro.runner.job import Session
from repro.training.checkpoint import Spent
from repro.training.trainer import LOG_EVERY

PROFILE = sized("camvid_short", "shapes")
GCN15, WITH_BR = "GCN 15", "GCN 15 + BR"
MODELS = {
    GCN15: Model(GCN(15)),
    "base": Model(Conv1x1()),
    WITH_BR: Model(GCN(15), refine=True),
    **sized({"Stack 7": Model(Stack(7)), "Conv 9": Model(Conv(9))}, {}),
}
WARM = sized(20, 0)
"""Steps before the clock starts: choices of algorithms, first allocations, the capture of a graph."""
SPLITS = {"train": 367, "val": 101}
HEIGHT, WIDTH = 360, 480
PACKAGES = (
    "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "lightning-fabric",
    "segmentation-models-pytorch", "safetensors",
)  # fmt: skip
HAS_GRAPH = "graph" in {part.name for part in fields(Machine)}
TERA, GIGA = 1e12, 2**30


def generate(root: Path) -> None:
    """Write pictures and labels of CamVid's names, sizes and numbers: coarse patches with noise."""

    def pair(part: str, i: int) -> None:
        rng = np.random.default_rng((i, len(part)))
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        noise = rng.integers(0, 20, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture = cv2.add(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), noise)
        labels = cv2.resize(rng.integers(0, 12, (9, 12), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=0)
        cv2.imwrite(str(root / "camvid" / part / f"{part}_{i:04}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        cv2.imwrite(str(root / "camvid" / f"{part}annot" / f"{part}_{i:04}.png"), labels)

    with ThreadPoolExecutor(min(8, cores())) as pool:
        for part, count in SPLITS.items():
            (root / "camvid" / part).mkdir(parents=True)
            (root / "camvid" / f"{part}annot").mkdir()
            list(pool.map(pair, [part] * count, range(count)))


class Timed(Session):
    """A session whose loop is watched where it asks for its batches."""

    one_batch = False
    """Hand out the first batch again and again."""

    def _ahead(self, *given: Any) -> AbstractContextManager[Any]:  # noqa: ANN401 - as the session has it
        return self._watched(super()._ahead(*given))

    @contextmanager
    def _watched(self, ahead: AbstractContextManager[Any]) -> Iterator[Callable[[int], tuple[Tensor, Tensor]]]:
        self.stamps: list[float] = []
        kept: list[tuple[Tensor, Tensor]] = []
        with ahead as source:

            def batch(step: int) -> tuple[Tensor, Tensor]:
                self.stamps.append(time.perf_counter())
                if self.one_batch and kept:
                    return kept[0]
                kept[:] = [source(step)]
                return kept[0]

            yield batch
            self.stamps.append(time.perf_counter())


def resolve(model: Model, steps: int) -> Run:
    """Return the profile's run of a network, from random weights, so many steps long."""
    run = profiles.get(PROFILE).resolve(Training(model))
    assert run is not None
    # Weights that hardly move stay finite whatever they start from, and take as long.
    return replace(run, steps=steps, start=Start("random"), recipe=replace(run.recipe, lr=1e-8))


def capture(session: Timed, *, on: bool) -> None:
    """Have a session's steps captured as a CUDA graph, or not, where the loop can."""
    if HAS_GRAPH:
        session.place = replace(session.place, graph=on)  # type: ignore[call-arg]


def per_step(session: Timed, steps: int, *, graph: bool = False) -> float:
    """Train; return the seconds of a step, from one wait for the device to the last."""
    session.run = replace(session.run, steps=WARM + steps)
    capture(session, on=graph)
    outcome = session.train(lambda _: None, Spent())
    if outcome is None or outcome.status != "ok":
        raise RuntimeError(f"the training ended as {outcome and outcome.status}")
    if graph and (how := getattr(outcome, "graph", "captured")) != "captured":
        raise RuntimeError(f"no graph: {how}")
    return (session.stamps[-1] - session.stamps[WARM]) / steps


@contextmanager
def free_choice() -> Iterator[None]:
    """Let torch take its fastest algorithms, as a peer's user would; then ask for the same bits again."""
    torch.use_deterministic_algorithms(mode=False)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        repeatable()


class Peer:
    """A training step of another library's network, as its user would write it; a call returns the seconds of one."""

    def __init__(self, net: nn.Module, images: Tensor, labels: Tensor) -> None:
        """Lay out network and batch."""
        self.net = net.to(images.device).to(memory_format=torch.channels_last)
        self.images, self.labels = images.contiguous(memory_format=torch.channels_last), labels
        self.optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-8)
        self.loss: Tensor | None = None

    def step(self) -> None:
        """Do one step; keep its loss, on the device."""
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.images.is_cuda):
            out = self.net(self.images)
        loss = plain_loss(out["out"] if isinstance(out, dict) else out, self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.loss = loss.detach()

    def wait(self) -> None:
        """Read the last loss, if there is one, which waits for the device."""
        if self.loss is not None:
            self.loss.item()

    def __call__(self, steps: int) -> float:
        """Return the seconds of a step; the loss is read as often as the project's loop reads it."""
        with free_choice():
            for _ in range(sized(10, 0)):
                self.step()
            self.wait()
            start = time.perf_counter()
            for number in range(steps):
                self.step()
                if number % LOG_EVERY == LOG_EVERY - 1:
                    self.wait()
            self.wait()
            return (time.perf_counter() - start) / steps


class Operations(TorchDispatchMode):
    """Counts the operations that torch dispatches."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's own signature
        """Count one, and do it."""
        self.count += 1
        return func(*args, **(kwargs or {}))


@dataclass
class Sitting:
    """What is measured, on what, until when; the results grow part by part."""

    place: Machine
    device: torch.device
    steps: int
    until: float
    generated: bool
    found: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    """By goal."""
    failed: dict[str, str] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)
    """Warnings, by what was measured."""
    sessions: dict[str, Timed] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Stem of the results' file: the device's name in small letters."""
        title = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"cpu {machine()['cpu']}"
        return "device_" + re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def session(self, name: str) -> Timed:
        """Return the session of a network, opened once."""
        if name not in self.sessions:
            folder = self.place.runs / name.replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            self.sessions[name] = Timed(resolve(MODELS[name], WARM + self.steps), 0, self.place, folder, None)
        return self.sessions[name]

    def attempt(self, name: str, call: Callable[[], Any], need: float = 5.0) -> Any:  # noqa: ANN401 - what it returns
        """Return what a measurement returns; None where it fails or the time left is less than it needs."""
        if time.monotonic() + sized(need, 0.0) > self.until:
            self.failed[name] = "left out: no time was left"
            return None
        began = time.monotonic()
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                value = call()
        except Exception as error:  # noqa: BLE001 - the next measurement may work
            self.failed[name] = f"{type(error).__name__}: {str(error)[:300]}"
            print(f"failed: {name}: {self.failed[name]}", flush=True)
            return None
        if lines := sorted({str(w.message).splitlines()[0][:160] for w in caught}):
            self.said[name] = lines
        print(f"{name}: {value if isinstance(value, float | int | str) else 'done'}"
              f" ({time.monotonic() - began:.1f} s)", flush=True)  # fmt: skip
        self.save()
        return value

    def keep(self, part: str, name: str, value: Any) -> None:  # noqa: ANN401 - a plain value
        """Keep a measured value, unless nothing was measured."""
        if value is not None:
            self.found.setdefault(part, {})[name] = value

    def save(self, *, quiet: bool = True) -> None:
        """Write what is known so far."""
        goals = [Goal(what, self.results[what], goal, most, unit) for what, goal, most, unit in WANTED
                 if what in self.results]  # fmt: skip
        content = {
            "benchmark": "gpu",
            "machine": machine(),
            "tables": self.tables,
            "goals": [asdict(goal) | {"met": goal.met} for goal in goals],
            "profile": PROFILE,
            "data": "generated" if self.generated else "as given",
            **self.found,
            "failed": self.failed,
            "warnings": self.said,
        }
        write(self.name, content, quiet=quiet)


def describe(sitting: Sitting) -> None:
    """Keep what the device and the software are."""

    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    facts: dict[str, Any] = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    facts |= {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
    }
    if sitting.device.type == "cuda":
        about = torch.cuda.get_device_properties(sitting.device)
        facts |= {
            "device": about.name,
            "capability": f"{about.major}.{about.minor}",
            "memory_gib": round(about.total_memory / GIGA, 1),
            "multiprocessors": about.multi_processor_count,
            "driver": _driver(),
        }
    sitting.found["versions"] = facts


def _driver() -> str | None:
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.split()[0]
    return None


def rates(sitting: Sitting) -> None:
    """Measure the matrix rate and how fast memory is copied, both directions counted."""

    def product() -> float:
        call = Product(str(sitting.device))
        call()
        start = time.perf_counter()
        call()
        return round(call.operations / (time.perf_counter() - start) / TERA, 4)

    def copy() -> float:
        size, times = sized((2**31 if sitting.device.type == "cuda" else 2**28, 10), (2**20, 1))
        source = torch.ones(size, dtype=torch.uint8, device=sitting.device)
        target = torch.empty_like(source)
        target.copy_(source)
        sitting.wait()
        start = time.perf_counter()
        for _ in range(times):
            target.copy_(source)
        sitting.wait()
        return round(times * 2 * size / (time.perf_counter() - start) / TERA, 4)

    sitting.keep("rates", "matrix_tflops", sitting.attempt("matrix product, TFLOP/s", product))
    sitting.keep("rates", "copy_tb_per_s", sitting.attempt("copy, TB/s", copy))


def fingerprints(sitting: Sitting) -> None:
    """Open the stores, which decodes the pictures the first time."""

    def opened() -> dict[str, str]:
        session = sitting.session(GCN15)
        stores = {"train": session.train_stores[0], "test": session.test}
        return {part: store.fingerprint for part, store in stores.items()}

    sitting.found["fingerprints"] = sitting.attempt("data", opened) or {}


def work(run: Run) -> tuple[int, float]:
    """Return images and floating-point operations of a step."""
    found = budget.of(run)
    assert found is not None
    operations = budget.OPERATIONS * budget.FORWARD_AND_BACKWARD * found.macs * run.recipe.batch_size
    return run.recipe.batch_size, float(operations)


def modes(sitting: Sitting) -> dict[str, Callable[[Timed], float]]:
    """Return the ways to train a network, each with the seconds of a step."""

    def not_deterministic(session: Timed, *, graph: bool) -> float:
        with free_choice():
            return per_step(session, sitting.steps, graph=graph)

    def one_batch(session: Timed, *, graph: bool) -> float:
        session.one_batch = True
        try:
            return per_step(session, sitting.steps, graph=graph)
        finally:
            session.one_batch = False

    ways: dict[str, Callable[[Timed], float]] = {"eager": lambda session: per_step(session, sitting.steps)}
    if HAS_GRAPH and sitting.device.type == "cuda":
        ways["graph"] = lambda session: per_step(session, sitting.steps, graph=True)
        ways["graph, not deterministic"] = lambda session: not_deterministic(session, graph=True)
    ways["not deterministic"] = lambda session: not_deterministic(session, graph=False)
    ways["one batch"] = lambda session: one_batch(session, graph=False)
    if "graph" in ways:
        ways["one batch, graph"] = lambda session: one_batch(session, graph=True)
    return ways


def steps(sitting: Sitting) -> None:
    """Time a step of every network in every way; the first network first."""
    for name in MODELS:
        row: dict[str, float] = {}
        session = sitting.attempt(f"{name}, opened", lambda name=name: sitting.session(name))
        for way, call in modes(sitting).items() if session is not None else ():
            if way.startswith("one batch") and name != GCN15:
                continue
            seconds = sitting.attempt(f"{name}, {way}, seconds a step", lambda call=call, s=session: call(s))
            if seconds is not None:
                images, operations = work(session.run)
                row[f"ms_{way.replace(', ', '_').replace(' ', '_')}"] = round(1e3 * seconds, 3)
                sitting.keep("steps", name, row)
                best = min(value for key, value in row.items() if key in {"ms_eager", "ms_graph"})
                row["images_per_second"] = round(1e3 * images / best, 1)
                row["tflops"] = round(1e3 * operations / best / TERA, 2)
        if name == GCN15 and row:
            _step_goals(sitting, row)
        if sitting.device.type == "cuda":
            sitting.keep("memory_gib", name, round(torch.cuda.max_memory_allocated(sitting.device) / GIGA, 2))
            torch.cuda.reset_peak_memory_stats(sitting.device)


def _step_goals(sitting: Sitting, row: dict[str, float]) -> None:
    found = {
        "device: GCN k=15, batch 4, 384 x 480: a step": min(row.get("ms_graph", row["ms_eager"]), row["ms_eager"]),
        "device: GCN k=15, batch 4, 384 x 480: images": row["images_per_second"],
        "device: GCN k=15, batch 4, 384 x 480: operations": row["tflops"],
    }
    pairs = [(row[a], row[b]) for a, b in (("ms_graph", "ms_one_batch_graph"), ("ms_eager", "ms_one_batch"))
             if a in row and b in row]  # fmt: skip
    if pairs:
        whole, alone = min(pairs)
        found["device: share of a step spent waiting for data"] = max(0.0, 1 - alone / whole)
        row["share_waiting_for_data"] = round(max(0.0, 1 - alone / whole), 4)
    sitting.results |= found


def peers(sitting: Sitting) -> None:
    """Let ours and the peers take turns."""
    source = sitting.session(GCN15).run.train[0]
    size = sized((4, source.height, source.width), (2, 64, 64))
    images = torch.randn(size[0], 3, *size[1:], device=sitting.device)
    labels = torch.randint(0, 11, size, device=sitting.device)
    makers: dict[str, tuple[str, Callable[[], nn.Module]]] = {
        "smp FPN": ("segmentation_models_pytorch", smp_fpn),
        "smp FPN, frozen": ("segmentation_models_pytorch", lambda: frozen(smp_fpn())),
        "torchvision fcn": ("torchvision", torchvision_net("fcn_resnet50")),
        "torchvision deeplabv3": ("torchvision", torchvision_net("deeplabv3_resnet50")),
    }
    ways: dict[str, Callable[[], float]] = {"GCN 15": lambda: per_step(sitting.session(GCN15), sitting.steps)}
    if "graph" in modes(sitting):
        ways["GCN 15, graph"] = lambda: per_step(sitting.session(GCN15), sitting.steps, graph=True)
    for name, (library, make) in makers.items():
        if not util.find_spec(library):
            left_out(name, f"{library} is not installed")
            sitting.failed[name] = f"left out: {library} is not installed"
            continue
        peer = sitting.attempt(f"{name}, made", lambda make=make: Peer(make(), images, labels))
        if peer is not None:
            ways[name] = lambda peer=peer: peer(sized(sitting.steps, 1))
    _turns(sitting, ways, f"a step, batch {size[0]}, {size[1]} x {size[2]}")


def _turns(sitting: Sitting, ways: dict[str, Callable[[], float]], title: str) -> None:
    """Let them take turns until one of them has no time left; keep the whole turns."""
    turns: list[dict[str, float]] = []
    for number in range(sized(3, 1)):
        turn = {}
        for name, way in ways.items():
            seconds = sitting.attempt(f"turn {number + 1}, {name}, seconds a step", way)
            if seconds is None:
                break
            turn[name] = seconds
        if turn.keys() != ways.keys():
            break
        turns.append(turn)
        ours = min((name for name in turn if name.startswith("GCN")), key=lambda name: turn[name])
        table = compare(turns, ours)
        sitting.tables[title] = table
        sitting.found["ours"] = ours
        for goal, peer_name in (
            ("device: a step of GCN k=15: smp FPN-ResNet50", "smp FPN"),
            ("device: a step of GCN k=15: torchvision deeplabv3", "torchvision deeplabv3"),
        ):
            if peer_name in table:
                sitting.results[goal] = table[peer_name]["ratio"]
        sitting.save()


def evaluation(sitting: Sitting) -> None:
    """Time the evaluation of the whole test split; the first one, which finds where pixels lie, is not counted."""
    session = sitting.session(WITH_BR)

    def call() -> float:
        session.evaluate(lambda _: None)
        sitting.wait()
        start = time.perf_counter()
        session.evaluate(lambda _: None)
        sitting.wait()
        return round(time.perf_counter() - start, 4)

    seconds = sitting.attempt(f"evaluation of {len(session.test)} pictures, seconds", call, need=10.0)
    sitting.keep("evaluation", "pictures", len(session.test))
    sitting.keep("evaluation", "seconds", seconds)
    if seconds is not None and len(session.test) == SPLITS["val"]:
        sitting.results["device: evaluation of 101 pictures"] = seconds


def launches(sitting: Sitting) -> None:
    """Measure what an operation takes where the device has next to nothing to do: the floor of a step's time."""
    session = sitting.session(GCN15)
    images, run = session.place, session.run

    def counted() -> int:
        sums = []
        capture(session, on=False)  # a replay dispatches nothing
        for count in (1, 2):
            session.run = replace(run, steps=count)
            with Operations() as mode:
                session.train(lambda _: None, Spent())
            sums.append(mode.count)
        return sums[1] - sums[0]

    def tiny() -> float:
        small = replace(run.train[0], height=64, width=64, crop=True)
        folder = images.runs / "tiny"
        folder.mkdir(exist_ok=True)
        recipe = replace(run.recipe, batch_size=1, scale=(1.0, 1.0))
        return per_step(Timed(replace(run, train=(small,), recipe=recipe), 0, images, folder, None), sitting.steps)

    operations = sitting.attempt("operations a step", counted)
    session.run = run
    seconds = sitting.attempt("a step of one 64 x 64 picture, seconds", tiny)
    sitting.keep("launches", "operations_a_step", operations)
    if operations and seconds:
        sitting.keep("launches", "us_an_operation", round(1e6 * seconds / operations, 3))
        sitting.keep("launches", "ms_a_step_without_work", round(1e3 * seconds, 3))


def as_process(place: Machine, count: int, *, graph: bool) -> None:
    """Be one of several trainings: say when warm, train when told, say how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        session = Timed(resolve(MODELS[GCN15], LOG_EVERY), 0, replace(place, runs=Path(folder)), Path(folder), None)
        per_step(session, LOG_EVERY)
        for word in ("ready", "done"):
            sys.stdout.write(f"{word}\n")
            sys.stdout.flush()
            if word == "ready" and sys.stdin.readline():
                per_step(session, count, graph=graph)


def side_by_side(sitting: Sitting) -> None:
    """Train in one process, then in three on the same device: images a second of all together."""

    def call(count: int, *, graph: bool) -> float:
        words = [
            sys.executable,
            __file__,
            "--as-process",
            "--device",
            sitting.device.type,
            "--steps",
            str(sitting.steps),
        ]
        words += ["--data-root", str(sitting.place.data_root)] * (sitting.place.data_root is not None)
        words += ["--smoke"] * SMOKE + ["--graph"] * graph
        env = {**os.environ, "REPRO_CACHE": str(sitting.place.cache), "OMP_NUM_THREADS": str(max(1, cores() // count))}
        mine = [
            subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        sitting.processes[:] = mine
        try:
            _hear(mine, "ready")
            start = time.perf_counter()
            for process in mine:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            _hear(mine, "done")
            seconds = time.perf_counter() - start
        finally:
            for process in mine:
                process.kill()
                process.communicate()
            sitting.processes.clear()
        images, _ = work(sitting.session(GCN15).run)
        return round(count * images * (WARM + sitting.steps) / seconds, 2)

    ways = [(count, False) for count in sized((1, 3), (1,))]
    ways += [(3, True)] if "graph" in modes(sitting) else []
    for count, graph in ways:
        name = f"{count} process{'es' * (count > 1)}{', graph' * graph}, images a second"
        found = sitting.attempt(name, lambda n=count, g=graph: call(n, graph=g), 25.0)
        sitting.keep("side_by_side", f"images_per_second_{count}{'_graph' * graph}", found)


def _hear(processes: list[subprocess.Popen[str]], word: str) -> None:
    for process in processes:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == word:
                break
        else:
            raise RuntimeError(f"a process ended with {process.wait()} before it was {word}")


@contextmanager
def deadline(sitting: Sitting, seconds: float) -> Iterator[None]:
    """End this process at the deadline, and those that it started; what was measured is written by then."""

    def end() -> None:
        for process in sitting.processes:
            process.kill()
        print(f"time is up after {seconds:.0f} s; what was measured is written", flush=True)
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


PARTS: dict[str, Callable[[Sitting], None]] = {
    "rates": rates,
    "data": fingerprints,
    "steps": steps,
    "peers": peers,
    "evaluation": evaluation,
    "launches": launches,
    "processes": side_by_side,
}


def measure(sitting: Sitting, wanted: list[str]) -> None:
    """Do the parts in their order."""
    describe(sitting)
    for name in wanted:
        sitting.attempt(name, lambda name=name: PARTS[name](sitting))
    if sitting.device.type == "cpu":
        sitting.keep("memory_gib", "process", round(peak_memory() / GIGA, 2))
    sitting.save(quiet=False)
    for name, why in sitting.failed.items():
        print(f"not measured: {name}: {why}")


def main() -> None:
    """Measure and report, or be one of several processes."""
    began = time.monotonic()
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="the whole sitting ends then")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=sized("cuda", "cpu"))
    parser.add_argument("--steps", type=int, default=sized(60, LOG_EVERY), help="steps that are timed together")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("REPRO_DATA") or None,
                        help="where CamVid lies (or REPRO_DATA); else it is generated")  # fmt: skip
    parser.add_argument("--only", default="", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--as-process", action="store_true", help="be one of several trainings; for this file alone")
    parser.add_argument("--graph", action="store_true", help="of one of several trainings: replay a CUDA graph")
    asked = parser.parse_args()
    wanted = [name.strip() for name in asked.only.split(",") if name.strip()] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        parser.error(f"--only {unknown[0]}: choose from {', '.join(PARTS)}")
    if asked.steps < 1 or asked.steps % LOG_EVERY:
        parser.error(f"--steps {asked.steps}: the loop waits for the device every {LOG_EVERY} steps; give a multiple")
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; try --smoke")
    with tempfile.TemporaryDirectory() as folder:
        place = Machine(runs=Path(folder), data_root=asked.data_root, device=asked.device, threads=max(1, cores() // 2),
                        checkpoint_seconds=float("inf"))  # fmt: skip
        if asked.as_process:
            as_process(place, asked.steps, graph=asked.graph)
            return
        device = torch.device(asked.device, 0) if asked.device == "cuda" else torch.device("cpu")
        sitting = Sitting(place, device, asked.steps, began + asked.seconds, generated=SMOKE or asked.data_root is None)
        with nullcontext() if SMOKE else deadline(sitting, asked.seconds):
            if sitting.generated and not SMOKE:
                generate(Path(folder) / "data")
                sitting.place = replace(place, data_root=Path(folder) / "data", cache=Path(folder) / "cache")
            measure(sitting, wanted)


if __name__ == "__main__":
    main()
