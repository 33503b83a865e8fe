"""What a GPU's readings come to; where there is none, no figure."""

import time

import pytest

from stages.training import gpu


def test_mean_and_peak_of_the_readings():
    readings = iter([(10.0, 100.0), (90.0, 300.4), (20.0, 200.0)])
    with gpu.watched(lambda: next(readings), period=0.001) as figures:
        time.sleep(0.2)
    assert figures == {"gpu": "nvml", "gpu_mean_percent": 40.0, "gpu_peak_percent": 90.0, "gpu_peak_mb": 300}


def test_no_reader_or_none_that_works_gives_no_figure():
    import torch

    assert gpu.reader(torch.device("cpu")) is None
    for read in (None, lambda: 1 / 0):
        with gpu.watched(read) as figures:
            pass
        assert figures == {"gpu": "none"}


def test_sampling_ends_with_the_block_also_when_it_fails():
    count = []
    with pytest.raises(KeyError), gpu.watched(lambda: count.append(1) or (1.0, 1.0), period=0.001) as figures:
        time.sleep(0.02)
        raise KeyError
    seen = len(count)
    time.sleep(0.02)
    assert len(count) == seen > 0 and figures["gpu"] == "nvml"
