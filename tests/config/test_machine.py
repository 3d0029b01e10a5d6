"""What ``--precision auto`` means, and what the user's choice means."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from repro import __version__
from repro.config import machine
from repro.config.errors import SpecError
from repro.config.machine import Machine
from repro.models.architectures import ARCHITECTURES
from repro.models.numerics import repeatable
from repro.training import distributed


@pytest.mark.parametrize(
    ("asked", "bf16", "narrow", "expected"),
    [
        ("auto", True, False, "bf16-mixed"),
        ("auto", True, True, "32-true"),
        ("auto", False, False, "32-true"),
        ("bf16", True, True, "bf16-mixed"),
        ("bf16", False, False, "bf16-mixed"),
        ("32", True, False, "32-true"),
    ],
)
def test_precision_on_a_cpu(
    asked: str, bf16: bool, narrow: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bf16 where the processor has it and the network is wide; what the user asks for comes before both."""
    monkeypatch.setattr(distributed, "cpu_has_bf16", lambda: bf16)
    assert distributed.precision(Machine(precision=asked), "cpu", narrow=narrow) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("real", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_on_a_gpu(real: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that only emulates bf16 takes float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: real or including_emulation)
    assert distributed.precision(Machine(), "cuda") == expected


def test_bf16_is_refused_on_a_gpu_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated, it would be slower than float32; ``auto`` takes float32 there, and 32 asks nothing of the device."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(SpecError, match="--precision bf16: Tesla T4 has no bfloat16; use --precision 32 or auto"):
        distributed.precision(Machine(precision="bf16"), "cuda")
    assert distributed.precision(Machine(precision="auto"), "cuda") == "32-true"
    assert distributed.precision(Machine(precision="32"), "cuda") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert distributed.precision(Machine(precision="bf16"), "cuda") == "bf16-mixed"


@pytest.mark.parametrize(
    ("word", "seen", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_devices_by_their_words(word: str, seen: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU where torch sees one, unless it is not wanted."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert distributed.device_of(word) == torch.device(expected)


@pytest.mark.parametrize(("word", "says"), [("cuda", "torch sees no CUDA device"), ("tpu", "choose from auto, cpu")])
def test_devices_that_are_not_there(word: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence each."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match=says):
        distributed.device_of(word)


def test_float32_is_float32_and_runs_repeat() -> None:
    """No TF32 in convolutions or products, deterministic algorithms, no search for the fastest, no filled memory."""
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, True
    distributed.open_fabric(Machine(device="cpu"))
    repeatable()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert not torch.utils.deterministic.fill_uninitialized_memory
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]


def test_small_backbones_are_narrow() -> None:
    """Those of the laptop profile, and no ResNet."""
    assert sorted(name for name, arch in ARCHITECTURES.items() if arch.narrow) == ["small", "small_gcn"]


def test_memory_is_kept_where_the_c_library_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere nothing happens, and it is said."""
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert machine.keep_memory() is False
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert machine.keep_memory() is False
    told: list[tuple[int, int]] = []

    class Glibc:
        def mallopt(self, option: int, value: int) -> int:
            told.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Glibc())
    assert machine.keep_memory() is True
    assert dict(told) == {-4: 0, -1: 2**31 - 1}


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _package(folder: Path) -> Path:
    package = folder / "lib" / "repro"
    (package / "config").mkdir(parents=True)
    (package / "config" / "machine.py").write_text("x = 1\n", encoding="utf-8")
    return package


def test_the_commit_is_that_of_the_checkout_that_tracks_the_package(tmp_path: Path) -> None:
    """With a + where a file differs; the variable and the file of a bundle do not override it."""
    package = _package(tmp_path)
    (package / "COMMIT").write_text("0123456789ab\n", encoding="utf-8")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "x")
    head = _git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert machine.git_commit(package, {"REPRO_COMMIT": "fedcba987654"}) == head
    (package / "config" / "machine.py").write_text("x = 2\n", encoding="utf-8")
    assert machine.git_commit(package, {}) == head + "+"


def test_a_package_below_somebody_elses_checkout_is_not_of_its_commit(tmp_path: Path) -> None:
    """An environment in a project's folder, or an unpacked bundle."""
    (tmp_path / "theirs.py").touch()
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "x")
    assert machine.git_commit(_package(tmp_path), {}) == f"v{__version__}"


@pytest.mark.parametrize(("variables", "inside", "beside", "found"), [
    ({"REPRO_COMMIT": "abc1234"}, "", "", "abc1234"),
    ({"REPRO_COMMIT": "abc1234"}, "fedcba9876", "", "abc1234"),
    ({"REPRO_COMMIT": "  "}, "fedcba9876+\n", "0123456789", "fedcba9876+"),
    ({}, "", "0123456789ab", "0123456789ab"),
    ({}, "", "Released in March", f"v{__version__}"),
    ({}, "", "", f"v{__version__}"),
])  # fmt: skip
def test_without_a_checkout_the_commit_is_written_beside(
    tmp_path: Path, variables: Mapping[str, str], inside: str, beside: str, found: str
) -> None:
    """The variable, a file in the package or beside it, else the version; other text is no commit."""
    package = _package(tmp_path)
    for folder, text in ((package, inside), (package.parent, beside)):
        if text:
            (folder / "COMMIT").write_text(text, encoding="utf-8")
    assert machine.git_commit(package, variables) == found


def test_a_git_that_hangs_is_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is gone must not hold a finished run for ever."""
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "GIT_SECONDS", 0.2)
    assert machine.git_commit(_package(tmp_path), {}) == f"v{__version__}"
