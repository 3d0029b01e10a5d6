"""Where a run happens: folders, device, precision, threads, GPUs. Nothing here changes a key."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from repro.config import container

Precision = Literal["32-true", "bf16-mixed"]
CHECKPOINT_SECONDS = 30.0
CACHE = Path(".cache/repro")
Device = Literal["auto", "cpu", "cuda"]
Width = Literal["auto", "32", "bf16"]
Layout = Literal["auto", "channels_last", "default"]
DEVICES, WIDTHS, LAYOUTS = get_args(Device), get_args(Width), get_args(Layout)
NO_CUDA = "--device cuda: torch sees no CUDA device here; use --device cpu or auto"
GIT_SECONDS = 20.0
"""After which a git that hangs (a file system that is gone) is taken for none."""
_TRIM, _MMAP_MAX = -1, -4
"""glibc's names of two options, from malloc.h."""


def cache_folder() -> Path:
    """Return the folder of the decoded data: ``REPRO_CACHE``, else one below the current folder."""
    return Path(os.environ.get("REPRO_CACHE") or CACHE)


@dataclass(frozen=True)
class Machine:
    """The user's choices that are not part of the experiment."""

    runs: Path = field(default_factory=lambda: Path("runs"))
    cache: Path = field(default_factory=cache_folder)
    data_root: Path | None = None
    weights: Path | None = None
    """ImageNet weights (safetensors, torchvision's names) for profiles that start from them."""
    stride_in: str | None = None
    """Convolution that carries a bottleneck's stride in ``weights``, as the user says; None: not given."""
    device: Device = "auto"
    precision: Width = "auto"
    threads: int = 1
    """Of torch: they change the last bits of a CPU's sums, so they belong to the run, see ``Profile.threads``."""
    cores: int = 1
    """The job's share of the cores, for work that changes no bit: dense CRF, OpenCV, batches made ahead, regions."""
    per_gpu: int = 1
    """Processes that share the GPU, and its memory evenly."""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    compile: bool = False
    """Train through ``torch.compile``."""
    graph: bool = True
    """Capture the step of a training on one GPU as a CUDA graph."""
    layout: Layout = "auto"
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


def cores(system: container.System = container.SYSTEM) -> int:
    """Return how many cores this process may use, at least one: a container's quota, its affinity, else all."""
    return container.cores(system).count


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


def git_commit(package: Path = Path(__file__).parents[1], environment: Mapping[str, str] = os.environ) -> str:
    """Return which code this is.

    In order: the commit of the checkout that tracks the package (``+`` appended when files differ from it), the
    variable ``REPRO_COMMIT``, a file ``COMMIT`` in the package or beside it, else the version, as ``v1.0.0``.
    """
    from repro import __version__

    for text in (_checkout(package), environment.get("REPRO_COMMIT", ""), *_written(package)):
        if text.strip():
            return text.strip()
    return f"v{__version__}"


def _written(package: Path) -> Iterator[str]:
    """Yield the commits that files beside a package without a checkout name; other text in such a file is no commit."""
    for path in (package / "COMMIT", package.parent / "COMMIT"):
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if re.fullmatch(r"[0-9a-f]{7,64}\+?", text):
            yield text


def _checkout(package: Path) -> str:
    """Return the commit of the checkout that tracks a package; empty where git or the checkout is missing.

    A package that is installed below somebody else's checkout is not tracked by it.
    """
    import subprocess

    try:
        _git(package, "ls-files", "--error-unmatch", "--", Path(__file__).parent.name + "/" + Path(__file__).name)
        head = _git(package, "rev-parse", "--short=12", "HEAD")
        dirty = _git(package, "status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.toml")
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + ("+" if dirty else "")


def _git(folder: Path, *words: str) -> str:
    import subprocess

    done = subprocess.run(  # noqa: S603 - fixed words
        ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
        capture_output=True, text=True, check=True, timeout=GIT_SECONDS,
    )  # fmt: skip
    return done.stdout.strip()


CUDA_CONTEXT = 2**30
"""Bytes of GPU memory that a process takes beside its tensors: its CUDA context, libraries and kernels. Assumed, not
measured; about 0.5 GB are usual."""
NVIDIA = Path("/proc/driver/nvidia/gpus")


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none where none is known."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        words = [word.strip() for word in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
        return tuple(word for word in words if word and word != "-1")
    return tuple(str(i) for i in range(len(list(NVIDIA.iterdir())))) if NVIDIA.is_dir() else ()


def torch_sees_cuda() -> bool:
    """Ask torch, in a process of its own: it takes seconds, so only where ``gpus`` knows of none (ROCm, WSL)."""
    import subprocess

    asked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words


def gpu_memory() -> int:
    """Return the bytes of the smallest GPU that torch sees, asked in a process of its own; 0 where it sees none."""
    import subprocess

    code = (
        "import torch; count = torch.cuda.device_count(); "
        "print(min((torch.cuda.get_device_properties(i).total_memory for i in range(count)), default=0))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    words = asked.stdout.split()
    return int(words[-1]) if asked.returncode == 0 and words and words[-1].isdecimal() else 0


def memory_share(total: int, processes: int) -> int:
    """Return the bytes for the tensors of one of several processes on a GPU of ``total`` bytes; 0 for no room."""
    return max(0, total // processes - (CUDA_CONTEXT if processes > 1 else 0))
