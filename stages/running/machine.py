"""How many stages this machine can run at once, and which GPU each of them sees."""

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

GIGABYTES_A_JOB = 2
GIGABYTES_OF_A_GPU = 8
MOST_ON_A_GPU = 4
CONTROL_GROUP = Path("/sys/fs/cgroup")


def jobs(threads: int | None, processes: int = 1) -> int:
    """How many stages of so many threads and processes run at once: what cores, memory and GPUs allow, at least one.

    One where a stage takes all cores (None).
    """
    limits = [cores() // ((threads or cores()) * processes), int(free_memory() // (GIGABYTES_A_JOB * processes))]
    if found := gpus():
        limits.append(sum(places(memory) for memory in found.values()) // processes)
    return max(1, min(limits))


def places(gigabytes: float) -> int:
    """How many stages share one GPU of so much memory."""
    return max(1, min(MOST_ON_A_GPU, int(gigabytes // GIGABYTES_OF_A_GPU)))


def cores() -> int:
    """The processors that this process may use, also within a container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _control("cpu.max").partition(" ")
    return max(1, min(allowed, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else allowed


def free_memory() -> float:
    """Gigabytes that can still be used, also within a container's limit."""
    import psutil

    free = psutil.virtual_memory().available
    limit, used = _control("memory.max"), _control("memory.current")
    if limit.isdigit() and used.isdigit():
        cached = dict(line.split() for line in _control("memory.stat").splitlines()).get("inactive_file", "0")
        free = min(free, int(limit) - int(used) + int(cached))
    return free / 2**30


def gpus() -> dict[str, float]:
    """Each GPU that torch would see -> its memory in gigabytes; none where torch is built for the CPU alone."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "" or metadata.version("torch").endswith("+cpu") or not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True)
    listed = [line.split(", ") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    sizes = {name: float(size) / 1024 for index, uuid, size in listed for name in (index, uuid) if size.isdigit()}
    names = [index for index, _, _ in listed] if visible is None else visible.split(",")
    return {name: sizes[name] for name in names if name in sizes}


def _control(name: str) -> str:
    path = CONTROL_GROUP / name
    return path.read_text().strip() if path.is_file() else ""
