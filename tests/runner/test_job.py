"""What a record says of the code, the libraries and the device that made it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from repro.config import machine
from repro.config.errors import SpecError
from repro.results.records import Record
from repro.runner import job as job_module
from repro.training import checkpoint, distributed
from tests.support.short_runs import execute, job, place, record


def test_versions_are_those_that_are_installed() -> None:
    found = job_module.software()
    assert found["numpy"] == metadata.version("numpy")
    assert found["pillow"] == metadata.version("pillow")
    assert found["opencv"]
    assert found["cuda"] == torch.version.cuda
    assert set(found) == {"numpy", "opencv", "pillow", "cuda", "cudnn"}


def test_a_library_that_is_missing_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(job_module.metadata, "version", missing)
    assert job_module.software()["opencv"] is None


@pytest.mark.parametrize(("text", "found"), [
    ("535.104.05\n", "535.104.05"),
    ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Fri\nGCC version:  gcc 12.3.0\n", "570.86.15"),
])  # fmt: skip
def test_the_driver_is_what_the_kernel_says(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "version"
    path.write_text(text, encoding="utf-8")
    assert job_module.driver(path, tmp_path / "none") == job_module.driver(tmp_path / "none", path) == found


def test_the_driver_is_null_where_nothing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else NVML is asked, which may be missing or fail."""
    none = tmp_path / "none"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert job_module.driver(none, none) is None
    nvml = SimpleNamespace(nvmlInit=lambda: None, nvmlSystemGetDriverVersion=lambda: b"550.1")
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert job_module.driver(none, none) == "550.1"
    nvml.nvmlInit = lambda: 1 / 0
    assert job_module.driver(none, none) is None


def _properties(total: int) -> Any:
    return lambda _: SimpleNamespace(total_memory=total)


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", _properties(85 * 10**9))
    monkeypatch.setattr(job_module, "driver", lambda: "570.1")
    described = {"memory_bytes": 85 * 10**9, "driver": "570.1", "processes": 3}
    assert job_module.gpu(torch.device("cuda", 0), 3) == described
    assert job_module.gpu(torch.device("cpu"), 1) is None


def test_the_most_gpu_memory_of_all_processes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was taken up again has the larger peak of both; a CPU has none."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert "peak_gpu_memory_bytes" not in checkpoint.Spent().state_dict()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5)
    later = checkpoint.Spent()
    assert later.state_dict()["peak_gpu_memory_bytes"] == 5
    later.load_state_dict({"peak_gpu_memory_bytes": 9})
    assert later.state_dict()["peak_gpu_memory_bytes"] == 9


def test_a_process_keeps_to_its_share_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of 80 GB less what each process takes beside its tensors; no room at all is one sentence."""
    said: list[tuple[float, Any]] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, on: said.append((share, on)))
    monkeypatch.setattr(torch.cuda, "get_device_properties", _properties(80 * 2**30))
    device = torch.device("cuda", 0)
    distributed.share_memory(device, 4)
    assert said == [(19 / 80, device)]
    with pytest.raises(SpecError, match=r"--jobs: 99 processes on a GPU of 85.9 GB leave no memory"):
        distributed.share_memory(device, 99)


@pytest.mark.parametrize(("meta", "kind"), [
    ({"device": "AMD EPYC"}, "cpu"), ({"device": "NVIDIA H100 80GB HBM3"}, "cuda"), ({"device": "Tesla T4"}, "cuda"),
    ({"device": "AMD Instinct MI300X"}, "cuda"), ({}, "cpu"), ({"device": None}, "cpu"),
    ({"device": "AMD EPYC", "identity": {"arithmetic": {"device_type": "cuda"}}}, "cuda"),
    ({"device": "AMD EPYC", "device_type": "cuda"}, "cuda"), ({"device": "NVIDIA GH200", "device_type": "cpu"}, "cpu"),
])  # fmt: skip
def test_the_kind_of_a_records_device(meta: Mapping[str, Any], kind: str) -> None:
    """As the record says; older ones have a name only."""
    assert Record(Path("x"), meta, "local").device_type == kind


def test_a_record_has_them(tmp_path: Path, cache: Path) -> None:
    """One group for the libraries, one for the GPU, which a CPU has not."""
    where, task = place(tmp_path, cache), job(2)
    assert execute(task, where).status == "ok"
    meta = json.loads((record(where, task) / "record.json").read_text(encoding="utf-8"))
    assert (meta["device_type"], meta["gpu"]) == ("cpu", None)
    assert meta["software"] == job_module.software()
    assert meta["git_commit"] == machine.git_commit() != ""
