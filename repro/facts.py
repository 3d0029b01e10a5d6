"""What a run was and what it ran on, for its record: machine, versions, precision, data, weights."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

import torch

from repro import machine
from repro.keys import canonical
from repro.published import partial
from repro.session import Session


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
        "threads": torch.get_num_threads(),
        "world_size": session.fabric.world_size,
        "precision": session.precision,
        "layout": str(session.layout).removeprefix("torch."),
        "compile": session.place.compile,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.system(),
        "git_commit": machine.git_commit(),
        "data": _checked(session),
        "partial": {name: list(pair) for name, pair in partial(_images(session)).items()},
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
