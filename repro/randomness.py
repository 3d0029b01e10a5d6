"""Every random state of a process, for checkpoints."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


class RandomStates:
    """The states of torch (CPU and GPUs), numpy and Python, under the protocol of a module's ``state_dict``.

    Batches are a pure function of seed and step and no layer draws, so a training reads none of them today; a layer
    that does draw goes on after a resume as if nothing had happened.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors and plain values, which load without executing anything."""
        name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global state is what is kept
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
            "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
            "python": random.getstate(),
        }

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Take the states over; those of GPUs that are not here are left out."""
        torch.set_rng_state(states["torch"])
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
        name, keys, *rest = states["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - as above
        random.setstate(states["python"])
