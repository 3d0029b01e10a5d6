"""Everything one job holds open: its data, its network, its Fabric; and the facts of it that its record keeps."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from repro.config import dataset_info, machine
from repro.config.dataset_info import partial as partial_splits
from repro.config.errors import WorkError
from repro.config.experiment import CRF, Run, check_weights
from repro.config.hashing import canonical
from repro.config.identity import NUMERICS, Identity, conflicts, shown, weights_of
from repro.config.machine import Machine
from repro.config.networks import Classifier
from repro.data import Dataset, cache, load
from repro.data.cache import Store
from repro.data.gpu_loader import DEPTH, Ahead, Resident, SideStream, fits
from repro.data.loader import Batches, eval_images
from repro.data.normalise import normalise
from repro.evaluation.evaluator import (
    Counts,
    background_of,
    evaluate_classifier,
    evaluate_images,
    interleave,
    share_weights,
)
from repro.evaluation.predictor import Predictor, Refine, frame_of
from repro.evaluation.regions import stored_region_codes
from repro.models import placing, weights
from repro.models.architectures import architecture
from repro.models.numerics import repeatable
from repro.results.records import Record
from repro.runner import sources
from repro.training import checkpoint
from repro.training.checkpoint import Spent
from repro.training.distributed import open_fabric
from repro.training.trainer import BatchSource, Outcome, train

Emit = Callable[[dict[str, Any]], None]


class Session:
    """One job: opened once, trained, evaluated."""

    def __init__(self, run: Run, seed: int, place: Machine, work: Path, parent: Record | None) -> None:
        """Open Fabric and the data; nothing is built before it is needed.

        Raises:
            WorkError: weights that the run starts from were not given.
        """
        self.run, self.seed, self.place, self.work, self.parent = run, seed, place, work, parent
        torch.set_num_threads(place.threads)
        machine.keep_memory()
        repeatable()
        self.weights_stride: weights.Stride | None = None
        """Of the file that the network was filled from; None before, or where there is none."""
        self.stillborn = parent is not None and parent.status == "diverged"
        if self.trains:
            check_weights(run, place.weights)
        self.fabric = open_fabric(place, narrow=architecture(run.model.backbone).narrow)
        cv2.setNumThreads(max(1, place.cores // self._makers))
        self.leads = bool(self.fabric.is_global_zero)
        self.precision = str(self.fabric._precision.precision)  # noqa: SLF001 - Fabric has no public name for it

    @property
    def trains(self) -> bool:
        """Whether this job trains weights, or evaluates another's."""
        return self.run.trained() == self.run

    @cached_property
    def test_set(self) -> Dataset:
        """The data set that is evaluated on."""
        return load(self.run.test.dataset, self.run.test.split, self.place.data_root)

    @cached_property
    def test(self) -> Store:
        """Its decoded store."""
        return cache.open_store(self.test_set, self.place.cache)

    @cached_property
    def train_stores(self) -> tuple[Store, ...]:
        """The decoded stores of the training mix."""
        return tuple(cache.open_store(load(s.dataset, s.split, self.place.data_root), self.place.cache)
                     for s in self.run.train)  # fmt: skip

    @property
    def stores(self) -> dict[str, Store]:
        """The store of every split that the job uses: where it trains those of the mix, then the test's."""
        used = [(self.run.test, self.test)]
        if self.trains:
            used = [*zip(self.run.train, self.train_stores, strict=True), *used]
        return {f"{source.dataset}/{source.split}": store for source, store in used}

    @cached_property
    def data(self) -> dict[str, str]:
        """The fingerprint of every split that the job uses."""
        return {name: store.fingerprint for name, store in self.stores.items()}

    @cached_property
    def identity(self) -> Identity:
        """Sources and arithmetic of what the job will have computed.

        Raises:
            WorkError: the record that it builds on comes from other data or weights.
        """
        own = dict(self.data)
        if self.trains and self.run.from_file:
            own[weights_of(self.run.model.backbone)] = sources.checksum(self.place.weights)
        before = self.parent.identity.sources if self.parent else {}
        if self.parent and (other := conflicts(before, own)):
            raise WorkError(
                f"{self.parent.name}: was made from other data or weights ({shown(before, other)}) than are here "
                f"({shown(own, other)}); run the table that trains it on these, or name the first ones"
            )
        kind = self.fabric.device.type
        return Identity(
            sources={**before, **own},
            arithmetic={
                "precision": self.precision,
                "layout": str(self.layout).removeprefix("torch."),
                "device_type": kind,
                "threads": torch.get_num_threads() if kind == "cpu" else 0,
                "world_size": self.fabric.world_size,
                "compile": self.place.compile,
                "numerics": NUMERICS,
            },
            parent=self.parent.digest if self.parent else "",
        )

    @property
    def normalise(self) -> Callable[[Tensor], Tensor]:
        """Mean subtraction (section 4) and scaling, as the backbone's weights expect them."""
        info = dataset_info.get(self.run.test.dataset)
        return partial(normalise, mean=info.mean, std=info.std)

    @cached_property
    def net(self) -> nn.Module:
        """The network as the run starts: seeded, then filled from where the run starts."""
        net = weights.network(self.run, self.seed, len(self.test_set.classes), self.place.weights, self.parent)
        if self.trains and self.run.from_file and self.place.weights is not None:
            said, file = self.place.stride_in, self.place.weights
            self.weights_stride = weights.stride_of(self.run, net, file, said, self._few_pictures)
        return net.to(memory_format=self.layout)

    def _few_pictures(self) -> Tensor:
        """Return a few training pictures from all over the first split, normalised, (n, 3, 224, 224)."""
        store = self.train_stores[0]
        count = min(placing.PICTURES, len(store))
        found = [placing.square(store.image(i * len(store) // count)) for i in range(count)]
        return self.normalise(torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2))

    @property
    def layout(self) -> torch.memory_format:
        """How maps lie in memory: channels last unless the user wants torch's default."""
        return torch.contiguous_format if self.place.layout == "default" else torch.channels_last

    def train(self, emit: Emit, spent: Spent) -> Outcome | None:
        """Train, or return None where another run's weights are evaluated; checkpoints keep what was spent."""
        if not self.trains:
            return None
        size = self.run.recipe.batch_size
        emit({"phase": "train", "batch": size})
        with self._ahead() as source:
            return train(
                self.run, self.net, source, self.fabric, self.work,
                progress=lambda event: emit({"phase": "train", "batch": size, **event}),
                checkpoint_seconds=self.place.checkpoint_seconds, compile_net=self.place.compile,
                graph=self.place.graph, spent=spent,
                identity={"seed": self.seed, **self.identity.as_tree()},
            )  # fmt: skip

    @property
    def _makers(self) -> int:
        """Threads that make batches on the host: on a GPU's host some of this job's, on a CPU the one that trains."""
        return min(DEPTH, self.place.cores) if self.fabric.device.type == "cuda" else 1

    def _ahead(self) -> AbstractContextManager[BatchSource]:
        """Return the batches; on a GPU they are made while those before are used, which saves a CPU nothing.

        A thread suffices where it only has the device make them; several on the host, where scaling takes its time.
        """
        batches, held = self._batches()
        if self.fabric.device.type != "cuda":
            return nullcontext(batches)
        side = SideStream(batches, self.fabric.device)
        return Ahead(side.make, side.take, depth=DEPTH, threads=1 if held else self._makers)

    def _batches(self) -> tuple[BatchSource, bool]:
        """Return the batches, on the device, and whether their pixels are held there."""
        recipe, source = self.run.recipe, self.run.train[0]
        world, rank = self.fabric.world_size, self.fabric.global_rank
        if recipe.batch_size % world:
            raise WorkError(f"batch {recipe.batch_size} does not divide over {world} processes; start another number")
        batches = Batches(
            self.train_stores, source, recipe.batch_size, self.seed, flip=recipe.flip,
            flip_vertical=recipe.flip_vertical,
            scale=recipe.scale, rank=rank, world=world,
        )  # fmt: skip
        device, info = self.fabric.device, dataset_info.get(self.run.test.dataset)
        held = fits(batches, device)
        make = Resident(batches, device).ready if held else partial(batches.ready, device=device)
        ready = partial(make, mean=info.mean, std=info.std)
        return ready if self.layout == torch.channels_last else partial(_laid_out, ready, self.layout), held

    def evaluate(self, emit: Emit) -> Counts:
        """Evaluate every test image once, each process its share, and return the raw counts of all."""
        net = self.net.to(self.fabric.device)
        world, rank = self.fabric.world_size, self.fabric.global_rank
        if world == 1:
            return self._evaluate(net, 0, 1, emit)
        share_weights(net)
        parts: list[Counts] = [{}] * world
        torch.distributed.all_gather_object(parts, self._evaluate(net, rank, world, emit))
        return interleave(parts)

    def _evaluate(self, net: nn.Module, rank: int, world: int, emit: Emit) -> Counts:
        """Evaluate every ``world``-th test image from ``rank`` on; the progress is that of this process times all."""
        emit({"phase": "evaluate", "step": 0, "steps": len(self.test)})

        def progress(done: int) -> None:
            emit({"phase": "evaluate", "step": min(done * world, len(self.test)), "steps": len(self.test)})

        items = eval_images(self.test, self.run.test, rank, world)
        if isinstance(self.run.model, Classifier):
            return evaluate_classifier(
                net, self.normalise, items, self.fabric.device, self.fabric.autocast, progress, self.layout
            )
        classes, how = self.test_set.classes, self.run.evaluation
        background = background_of(classes)
        codes = stored_region_codes(self.test, how.rim, how.distance, background, self.place.cores)
        return evaluate_images(self.predictor(net), items, len(classes), progress, background, codes, self.place.cores)

    def predictor(self, net: nn.Module) -> Predictor:
        """Return the run's protocol around a network."""
        crf = self.run.evaluation.crf
        return Predictor(
            net=net, normalise=self.normalise, frame=frame_of(self.run.test), evaluation=self.run.evaluation,
            device=self.fabric.device, autocast=self.fabric.autocast, layout=self.layout,
            refine=None if crf is None else _crf(crf, self.place.cores),
        )  # fmt: skip

    def export(self) -> Path:
        """Write the trained weights beside the log; return the file.

        Raises:
            CheckpointError: the disk refuses; the last checkpoint stays.
        """
        path = self.work / "weights.safetensors"
        checkpoint.write(path, save({n: v.detach().cpu().contiguous() for n, v in self.net.state_dict().items()}))
        return path


def _laid_out(batches: BatchSource, layout: torch.memory_format, step: int) -> tuple[Tensor, Tensor]:
    """Return a batch whose images have another layout than channels last, in which they are made."""
    images, labels = batches(step)
    return images.contiguous(memory_format=layout), labels


def _crf(crf: CRF, processes: int) -> Refine:
    """Return the dense CRF with its parameters bound, on so many processes."""
    from repro.evaluation.crf import refine_all

    return partial(refine_all, crf=crf, processes=processes)


def facts(session: Session) -> dict[str, Any]:
    """Describe a session's run and what it ran on, as the record holds it."""
    run = session.run
    return {
        "key": run.key,
        "seed": session.seed,
        "profile": run.profile,
        "recipe": run.recipe.name,
        "slug": run.slug,
        "spec": canonical(run),
        "classes": list(session.test_set.classes),
        "test_images": len(session.test),
        "steps": run.steps,
        "device": _device(session),
        "device_type": session.fabric.device.type,
        "gpu": gpu(session.fabric.device, session.place.per_gpu),
        "threads": torch.get_num_threads(),
        "world_size": session.fabric.world_size,
        "precision": session.precision,
        "layout": str(session.layout).removeprefix("torch."),
        "compile": session.place.compile,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "software": software(),
        "platform": platform.system(),
        "git_commit": machine.git_commit(),
        "data": _checked(session),
        "partial": {name: list(pair) for name, pair in partial_splits(_images(session)).items()},
        "identity": session.identity.as_tree(),
        "weights_file": _weights_file(session),
        "weights_stride_in": str(session.weights_stride) if session.weights_stride else None,
        "weights_from": None if session.parent is None else session.parent.name,
    }


def _checked(session: Session) -> dict[str, str]:
    """Return the fingerprints of the data once every image has been compared with its checksum.

    What a damaged store gave before was compared as well, and decoded again where it differed.
    """
    if session.leads:  # of several processes each has compared what it read itself
        for store in session.stores.values():
            store.check()
    return session.data


def _images(session: Session) -> dict[str, int]:
    return {name: len(store) for name, store in session.stores.items()}


def software() -> dict[str, str | None]:
    """Return the versions of the libraries that make pixels and compute with them; None for one that is not there."""
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None  # type: ignore[no-untyped-call]
    return {
        "numpy": _version("numpy"),
        "opencv": _version("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless"),
        "pillow": _version("pillow"),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
    }


def _version(*names: str) -> str | None:
    """Return the version of the first of several distributions that is installed."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def gpu(device: torch.device, processes: int) -> dict[str, Any] | None:
    """Return total memory in bytes, driver and the number of processes that shared a GPU; None for a CPU."""
    if device.type != "cuda":
        return None
    total = int(torch.cuda.get_device_properties(device).total_memory)
    return {"memory_bytes": total, "driver": driver(), "processes": processes}


def driver(
    module: Path = Path("/sys/module/nvidia/version"), proc: Path = Path("/proc/driver/nvidia/version")
) -> str | None:
    """Return the version of the NVIDIA driver as the kernel says it, else as NVML does; None where neither does."""
    for path in (module, proc):
        try:
            found = re.search(r"\d+\.\d+(\.\d+)?", path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return found[0]
    try:
        pynvml = import_module("pynvml")
        pynvml.nvmlInit()
        said = pynvml.nvmlSystemGetDriverVersion()
    except Exception:  # noqa: BLE001 - a library that may be missing, or fail in its own ways; the version is null then
        return None
    return said.decode() if isinstance(said, bytes) else str(said)


def _weights_file(session: Session) -> str | None:
    """Return name and checksum of the file that the training started from; None where it read none."""
    path = session.place.weights
    if path is None or not session.run.from_file:
        return None
    with path.open("rb") as file:
        return f"{path.name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _device(session: Session) -> str:
    if session.fabric.device.type == "cuda":
        return str(torch.cuda.get_device_name(session.fabric.device))
    return machine.cpu_name()
