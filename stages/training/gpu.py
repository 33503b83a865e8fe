"""How busy a GPU is and how much of its memory is taken while something runs, by NVML."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PERIOD = 0.2
Read = Callable[[], tuple[float, float]]


@contextmanager
def watched(read: Read | None, period: float = PERIOD) -> Iterator[dict[str, Any]]:
    """Yield a dict that holds, once the block has ended, the figures of what `read` gave every `period` seconds.

    With a reader: {"gpu": "nvml", "gpu_mean_percent", "gpu_peak_percent", "gpu_peak_mb"}; with None, or where every
    reading failed, {"gpu": "none"} and no figure.
    """
    figures: dict[str, Any] = {"gpu": "none"}
    if read is None:
        yield figures
        return
    readings: list[tuple[float, float]] = []
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(read, readings, ended, period), daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()
        if readings:
            busy, taken = zip(*readings, strict=True)
            figures.update(
                gpu="nvml",
                gpu_mean_percent=sum(busy) / len(busy),
                gpu_peak_percent=max(busy),
                gpu_peak_mb=round(max(taken)),
            )


def _sample(read: Read, readings: list[tuple[float, float]], ended: threading.Event, period: float) -> None:
    """Append a reading in every period until the event; a reader that fails ends it."""
    while not ended.is_set():
        try:
            readings.append(read())
        except Exception:  # NVML's errors; a figure less must not end training
            return
        ended.wait(period)


def reader(device: torch.device) -> Read | None:
    """A function that reads (per cent of time busy, MB taken) of a torch device; None where NVML cannot.

    Both are the whole GPU's, other processes' share included. NVML counts as busy the time in which any kernel ran.
    """
    if device.type != "cuda":
        return None
    import pynvml
    import torch

    def read() -> tuple[float, float]:
        return pynvml.nvmlDeviceGetUtilizationRates(handle).gpu, pynvml.nvmlDeviceGetMemoryInfo(handle).used / 2**20

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        read()
    except pynvml.NVMLError:
        return None
    return read
