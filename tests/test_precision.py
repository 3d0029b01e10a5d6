"""What ``--precision auto`` means, and what the user's choice means."""

from __future__ import annotations

import ctypes
import os

import pytest
import torch

from repro import fabric, machine
from repro.machine import Machine
from repro.models.architectures import ARCHITECTURES


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
    monkeypatch.setattr(fabric, "cpu_has_bf16", lambda: bf16)
    assert fabric.precision(Machine(precision=asked), "cpu", narrow=narrow) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("real", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_on_a_gpu(real: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that only emulates bf16 takes float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: real or including_emulation)
    assert fabric.precision(Machine(), "cuda") == expected


def test_float32_is_float32_and_runs_repeat() -> None:
    """No TF32 in convolutions or products, deterministic algorithms, no search for the fastest, no filled memory."""
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, True
    fabric.open_fabric(Machine(device="cpu"))
    fabric.repeatable()
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
