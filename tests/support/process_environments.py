"""Environment variables of processes started by torchrun and by srun."""

from __future__ import annotations


def torchrun_env(rank: int, size: int, port: str) -> dict[str, str]:
    """Return the variables that torchrun gives each process."""
    return {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0",
    }  # fmt: skip


def srun_env(rank: int, size: int, port: str) -> dict[str, str]:
    """Return the variables that srun --ntasks-per-node gives each process."""
    return {
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NTASKS": str(size), "SLURM_NODEID": "0",
        "SLURM_STEP_NUM_TASKS": str(size), "SLURM_STEP_NUM_NODES": "1", "SLURM_NNODES": "1", "SLURM_JOB_ID": "7",
        "SLURM_NTASKS_PER_NODE": str(size), "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_NAME": "train",
        "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1",
    }  # fmt: skip


def srun_with_ntasks(rank: int, size: int, port: str) -> dict[str, str]:
    """Return the variables of `srun --ntasks` alone."""
    return {name: text for name, text in srun_env(rank, size, port).items() if name != "SLURM_NTASKS_PER_NODE"}
