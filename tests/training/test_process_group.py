"""Tests of repro.training.process_group."""

from __future__ import annotations

import pytest

from repro.config.errors import SpecError
from repro.config.machine import Machine
from repro.training import distributed, process_group
from repro.training.process_group import Group
from tests.support.process_environments import srun_env, srun_with_ntasks, torchrun_env


@pytest.mark.parametrize(("more", "each"), [
    ({"SLURM_GPUS_PER_TASK": "1"}, True), ({"SLURM_GPUS_PER_TASK": "h100:1"}, True),
    ({"SLURM_NTASKS_PER_GPU": "1"}, True),
    ({"SLURM_TRES_PER_TASK": "cpu=8,gres/gpu:h100=1"}, True), ({"SLURM_TRES_PER_TASK": "cpu=1,gres/gpu=2"}, False),
    ({"SLURM_GPUS_PER_TASK": "2"}, False), ({}, False),
])  # fmt: skip
def test_slurm_may_bind_a_gpu_to_each_task(more: dict[str, str], each: bool) -> None:
    """In every form that it has for it; torchrun inside a job of Slurm is no task."""
    assert process_group.one_gpu_each(srun_env(1, 2, "1") | more) == each
    assert not process_group.one_gpu_each(torchrun_env(1, 2, "1") | srun_env(1, 2, "1") | more)


def test_tasks_that_spread_unevenly_over_nodes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tasks on two nodes: one sentence."""
    for name, text in (srun_with_ntasks(0, 5, "1") | {"SLURM_STEP_NUM_NODES": "2"}).items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SpecError, match="5 tasks do not spread evenly over 2 nodes"):
        distributed.open_fabric(Machine(device="cpu", precision="32"))


def test_the_group_is_read_from_torchrun_or_slurm() -> None:
    """A Slurm batch script without srun is alone, whatever the job asked for."""
    assert process_group.read({}) == Group(0, 1, 1)
    assert process_group.read(torchrun_env(1, 4, "1")) == Group(1, 4, 4)
    assert process_group.read(srun_env(1, 2, "1")) == Group(1, 2, 2)
    assert process_group.read({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}) == Group(0, 1, 1)
    two_nodes = srun_env(5, 8, "1") | {"SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4"}
    assert process_group.read(two_nodes) == Group(5, 8, 4)
    assert process_group.read(two_nodes | {"SLURM_NTASKS_PER_NODE": "8"}) == Group(
        5, 8, 4
    )  # an allocation's, not the step's
    assert process_group.from_slurm(two_nodes)
    assert not process_group.from_slurm(two_nodes | torchrun_env(1, 4, "1"))
    assert not process_group.read(two_nodes).leads
