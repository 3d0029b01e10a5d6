"""Where a run happens: folders, device, precision, threads. Nothing here changes a key."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from repro.spec import SpecError

Precision = Literal["32-true", "bf16-mixed"]
CHECKPOINT_SECONDS = 30.0
DEVICES = ("auto", "cpu", "cuda")
NO_CUDA = "--device cuda: torch sees no CUDA device here; use --device cpu or auto"
_TRIM, _MMAP_MAX = -1, -4
"""glibc's names of two options, from malloc.h."""


@dataclass(frozen=True)
class Machine:
    """The user's choices that are not part of the experiment."""

    runs: Path = field(default_factory=lambda: Path("runs"))
    cache: Path = field(default_factory=lambda: Path(os.environ.get("REPRO_CACHE", ".cache/repro")))
    data_root: Path | None = None
    weights: Path | None = None
    """ImageNet weights (safetensors, torchvision's names) for profiles that start from them."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "32", "bf16"] = "auto"
    threads: int = 1
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    compile: bool = False
    """Train through ``torch.compile``."""
    layout: Literal["auto", "channels_last", "default"] = "auto"
    """How maps lie in memory; ``auto`` is channels last, the faster one wherever it was measured."""

    @property
    def local(self) -> Path:
        """Folder of the records made here."""
        return self.runs / "local"

    @property
    def reference(self) -> Path:
        """Folder of the records that the project ships."""
        return self.runs / "reference"

    @property
    def work(self) -> Path:
        """Folder of unfinished runs: checkpoints and logs."""
        return self.local / ".work"


def from_environment(data_root: Path | None, weights: Path | None) -> tuple[Path | None, Path | None]:
    """Fill a data root and weights that were not given from ``REPRO_DATA`` and ``REPRO_WEIGHTS``.

    Raises:
        SpecError: a path was given and does not exist.
    """
    root = data_root or (Path(os.environ["REPRO_DATA"]) if os.environ.get("REPRO_DATA") else None)
    file = weights or (Path(os.environ["REPRO_WEIGHTS"]) if os.environ.get("REPRO_WEIGHTS") else None)
    if root is not None and not root.is_dir():
        raise SpecError(f"data root {root} is not a folder; give --data-root (or REPRO_DATA) an existing one")
    if file is not None and not file.is_file():
        raise SpecError(f"weights {file} are not a file; give --weights (or REPRO_WEIGHTS) an existing one")
    return root, file


def keep_memory() -> bool:
    """Let freed memory stay with this process for its next tensors; say whether the C library can be told so.

    glibc gives every large tensor fresh pages and returns them when it is freed; having them zeroed anew is a part of
    every training step on a CPU. The process then keeps the most memory that it had until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    largest = 2**31 - 1
    return tell is not None and all(tell(option, value) == 1 for option, value in ((_MMAP_MAX, 0), (_TRIM, largest)))


def cores() -> int:
    """Return how many cores this process may use: its affinity (``taskset``, Slurm), else the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """Return the processor's model name, as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory() -> int:
    """Return the process's largest resident size so far, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_has_bf16() -> bool:
    """Say whether the processor multiplies bfloat16 itself; elsewhere it is many times slower."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return False
    text = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in text or "amx_bf16" in text


def git_commit() -> str:
    """Return the commit of this code, ``+`` appended when files differ from it; empty where it is not known.

    ``REPRO_COMMIT`` comes before the file that a bundle puts beside its code, and that before the git checkout.
    """
    import subprocess

    here = Path(__file__).parent
    if said := os.environ.get("REPRO_COMMIT", ""):
        return said
    if (noted := here / "COMMIT").is_file():
        return noted.read_text(encoding="utf-8").strip()
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        dirty = _git(here, "status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.toml")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if dirty else "")


def _git(folder: Path, *words: str) -> str:
    import subprocess

    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)  # noqa: S603, S607 - fixed words, the user's own git
    return done.stdout.strip()
