"""The device of a slot, asked for in a process of its own: the one that starts the runs never imports torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from repro.config import container
from repro.config.errors import BundleError
from repro.config.machine import CUDA_CONTEXT, NO_CUDA, cpu_has_bf16, cpu_name

_ASK = """
import json, torch
n = torch.cuda.device_count() if torch.cuda.is_available() else 0
free = min(torch.cuda.mem_get_info(i)[0] for i in range(n)) if n else 0
print(json.dumps({"torch": torch.__version__, "count": n, "free": free,
    "name": torch.cuda.get_device_name(0) if n else "",
    "bf16": bool(n) and torch.cuda.is_bf16_supported(including_emulation=False)}))
"""


@dataclass(frozen=True)
class Device:
    """Where the runs run: GPUs of one kind, or this machine's CPU."""

    name: str
    gpus: int
    free: int
    """Bytes that a run may take: of the fullest GPU, or of this machine."""
    bf16: bool
    """Whether it multiplies bfloat16 itself."""
    torch: str = ""


class Asked:
    """A question to torch under way, which takes it some seconds."""

    def __init__(self, wanted: str) -> None:
        """Begin to ask for ``auto``, ``cpu`` or ``cuda``."""
        self.wanted = wanted
        self.process = subprocess.Popen([sys.executable, "-c", _ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - fixed words

    def answer(self, precision: str) -> Device:
        """Return the device.

        Raises:
            BundleError: torch cannot be imported, there is no GPU where one was asked for, or the device does not
                multiply bfloat16 where that was asked for.
        """
        said, complaint = self.process.communicate()
        if self.process.returncode:
            last = complaint.decode(errors="replace").strip().splitlines() or ["no message"]
            raise BundleError(f"torch does not start here ({last[-1]}); mend its installation")
        return chosen(json.loads(said), self.wanted, precision)


def chosen(found: dict[str, object], wanted: str, precision: str) -> Device:
    """Return the device that was asked for, from torch's answer; raises as ``Asked.answer``."""
    count = int(str(found["count"]))
    if wanted == "cuda" and not count:
        raise BundleError(NO_CUDA)
    torch = str(found["torch"])
    if wanted == "cpu" or not count:
        device = Device(cpu_name(), 0, _free_memory(), cpu_has_bf16(), torch)
    else:
        device = Device(str(found["name"]), count, int(str(found["free"])), bool(found["bf16"]), torch)
    if precision == "bf16" and not device.bf16:
        raise BundleError(f"--precision bf16: {device.name} does not multiply bfloat16; use --precision 32 or auto")
    return device


def check_memory(device: Device, jobs: int, need: int) -> None:
    """Raise ``BundleError`` where runs side by side take more memory than is free.

    Args:
        device: where they run.
        jobs: how many at a time, spread evenly over the GPUs.
        need: bytes of one run; 0 where none like it was ever run.
    """
    each = -(-jobs // max(1, device.gpus))
    need += CUDA_CONTEXT if need and device.gpus else 0
    if need and device.free and each * need > device.free:
        most = max(1, device.free // need) * max(1, device.gpus)
        where = device.name if device.gpus else "this machine"
        raise BundleError(
            f"--jobs {jobs}: a run takes about {need / 1e9:.1f} GB and {where} has {device.free / 1e9:.1f} GB free; "
            f"ask for {most} at most"
        )


def _free_memory() -> int:
    """Return the bytes that this machine or its container has free; 0 where the system does not tell."""
    found = container.memory()
    return found.available if found else 0
