"""How busy a GPU is and how much of its memory is taken while something runs, by NVML."""
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 0.2


@contextmanager
def watched(read: Callable[[], tuple[float, float]] | None, period: float = PERIOD) -> Iterator[dict]:
    """Yield a dict that holds, once the block has ended, the figures of what `read` gave every `period` seconds.

    With a reader: {"gpu": "nvml", "gpu_mean_percent", "gpu_peak_percent", "gpu_peak_mb"}; with None, or where every
    reading failed, {"gpu": "none"} and no figure.
    """
    figures: dict = {"gpu": "none"}
    if read is None:
        yield figures
        return
    seen: list[tuple[float, float]] = []
    ended = threading.Event()

    def sample():
        while not ended.is_set():
            try:
                seen.append(read())
            except Exception:
                return
            ended.wait(period)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()
        if seen:
            busy, taken = zip(*seen)
            figures.update(gpu="nvml", gpu_mean_percent=sum(busy) / len(busy), gpu_peak_percent=max(busy),
                           gpu_peak_mb=round(max(taken)))


def reader(device) -> Callable[[], tuple[float, float]] | None:
    """A function that reads (per cent of time busy, MB taken) of a torch device; None where NVML cannot.

    Both are the whole GPU's, other processes' share included. NVML counts as busy the time in which any kernel ran.
    """
    if device.type != "cuda":
        return None
    import pynvml
    import torch
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        read = lambda: (pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,  # noqa: E731
                        pynvml.nvmlDeviceGetMemoryInfo(handle).used / 2**20)
        read()
    except pynvml.NVMLError:
        return None
    return read
