"""One training by several processes of this machine: each computes its share of every batch, as if one did.

Each process has a trainer of its own, on a GPU of its own where there are GPUs. All read the same batches in the same
order, each takes its rows of them, and before every step the gradients are averaged. That is what torch's
DistributedDataParallel computes, which is not used: it expects one forward for each backward, to which cached losses,
two towers and regularizers do not keep, and the sampler that goes with it drops or fills up a batch that is short.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import fingerprint
from stages.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from sentence_transformers.base.trainer import BaseTrainer
    from transformers import TrainerCallback

GATHERS = "gather_across_devices"  # of sentence-transformers' losses: whether they see the passages of all processes
BETWEEN = 0.2
PATIENCE = timedelta(days=1)  # the others wait while the first one validates; one that is killed is noticed at once


def is_first() -> bool:
    """Whether this process validates, saves and prints: the only one, or the first of those that train together."""
    return number() == 0


def number() -> int:
    """Which of the processes that train together this is, from 0."""
    from sentence_transformers.util import get_rank

    return int(get_rank())


def count() -> int:
    """How many processes train together; 1 where this one trains alone."""
    from sentence_transformers.util import get_world_size

    return int(get_world_size())


def check_devices(processes: int) -> None:
    """Raises UserError where this machine has GPUs, and fewer than there are to be processes."""
    from sentence_transformers.util import get_device_name

    device, where = get_device_name().partition(":")[0], "scale.training.processes"
    if processes == 1 or device == "cpu":
        return
    if device != "cuda":
        raise UserError(f"{where}: {processes} train together on CUDA's GPUs or on the CPU, not on {device}; say 1")
    if (there := len(_gpus())) < processes:
        raise UserError(f"{where}: {processes} need a GPU each, and there are {there} here; say {there}")


def start(processes: int, what: str, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in so many new processes that train together, and wait for them.

    The function and its arguments can be pickled. `what` is trained, as errors name it. Raises the first UserError of a
    process, and one where a process was killed; the others are ended then.
    """
    from torch import multiprocessing

    check_devices(processes)
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")  # what a killed process left open
    with tempfile.TemporaryDirectory(prefix="stages-") as folder:
        at_work = multiprocessing.start_processes(
            _begin,
            (os.getpid(), processes, Path(folder), function, arguments),
            nprocs=processes,
            join=False,
            start_method="spawn",
        )
        try:
            while not at_work.join():
                pass
        except (multiprocessing.ProcessRaisedException, multiprocessing.ProcessExitedException) as error:
            for said in sorted(Path(folder).glob("*.error")):
                raise UserError(said.read_text())
            codes = {place: process.exitcode for place, process in enumerate(at_work.processes)}
            killed = {place: -code for place, code in codes.items() if code < 0 and code != -signal.SIGTERM}
            for place, ended_by in killed.items():
                raise UserError(
                    f"{what}: process {place + 1} of {processes} was ended by {signal.Signals(ended_by).name}; run "
                    f"again, and training goes on from its last checkpoint"
                )
            raise error


def _begin(
    place: int, parent: int, processes: int, folder: Path, function: Callable[..., None], arguments: tuple
) -> None:
    """What a new process does: it joins the others, works, and leaves them; the first one alone prints."""
    import torch
    from torch import distributed

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    warnings.filterwarnings("ignore", "torch.distributed.nn.functional", FutureWarning)  # how the losses gather
    logging.getLogger("transformers.training_args").setLevel(logging.ERROR)  # that it would rather have launched this
    gpus = _gpus()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place]
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    with open(os.devnull, "w") as nothing, ExitStack() as silent:
        if place:
            silent.enter_context(redirect_stdout(nothing))
            silent.enter_context(redirect_stderr(nothing))
        distributed.init_process_group(
            "nccl" if gpus else "gloo",
            init_method=f"file://{folder / 'group'}",
            rank=place,
            world_size=processes,
            timeout=PATIENCE,
        )
        try:
            function(*arguments)
        except UserError as error:
            (folder / f"{place}.error").write_text(error.message)
            raise SystemExit(1)
        distributed.destroy_process_group()


def _gpus() -> list[str]:
    """The GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(place) for place in range(torch.cuda.device_count())])[: torch.cuda.device_count()]


def _end_with(parent: int) -> None:
    """End this process, wherever it is, when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(BETWEEN)
    os._exit(1)


def share(trainer: BaseTrainer, sizes: list[int]) -> None:
    """Let a trainer compute this process's rows of each batch, and step by the mean gradient of all processes.

    `sizes` are the rows that each step reads. A batch that cannot be divided evenly, such as the last of an epoch, is
    computed whole by each process. In-batch negatives are those of all processes. What is drawn at random in a step
    depends on seed, step and process alone, so that a resumed run draws the same.
    """
    import torch
    from torch import distributed

    processes, place = count(), number()
    if processes == 1:
        return
    model, sampler, step = trainer.model, trainer.get_batch_sampler, trainer.training_step

    def shared_sampler(*arguments: Any, **keywords: Any) -> Any:
        return _of_rows(sampler(*arguments, **keywords), place, processes)

    def shared_step(wrapped: Any, inputs: Any, *more: Any, **named: Any) -> torch.Tensor:
        at = trainer.state.global_step
        gather(trainer.loss, sizes[at] % processes == 0)
        torch.manual_seed(int(fingerprint.of_values(trainer.args.seed, at, place)[:8], 16))
        loss = step(wrapped, inputs, *more, **named)
        average([weights for weights in model.parameters() if weights.requires_grad])
        distributed.all_reduce(loss)
        return loss / processes

    trainer.get_batch_sampler, trainer.training_step = shared_sampler, shared_step
    trainer.add_callback(_agreeing())


def share_of(rows: list[int], place: int, processes: int) -> list[int]:
    """The rows of a batch that one of the processes computes: an even share, or all where there is none."""
    each, rest = divmod(len(rows), processes)
    return rows if rest else rows[place * each : (place + 1) * each]


def _of_rows(sampler: Any, place: int, processes: int) -> Any:
    """A batch sampler that from now on yields a process's share of each batch."""

    class Shared(type(sampler)):  # type: ignore[misc]
        def __iter__(self) -> Iterator[list[int]]:
            return (share_of(rows, place, processes) for rows in super().__iter__())

    sampler.__class__ = Shared
    return sampler


def gather(loss: torch.nn.Module, across: bool) -> None:
    """Let each loss that has in-batch negatives take those of all processes, or of its own alone."""
    for part in loss.modules():
        if GATHERS in vars(part):
            setattr(part, GATHERS, across)


def average(trained: list[torch.nn.Parameter]) -> None:
    """Put the mean gradient of all processes in the place of each one's; what none has a gradient of keeps none."""
    import torch
    from torch import distributed

    has = torch.tensor([weights.grad is not None for weights in trained], dtype=torch.int32, device=trained[0].device)
    distributed.all_reduce(has, distributed.ReduceOp.MAX)
    moved = [weights for weights, anywhere in zip(trained, has.tolist(), strict=True) if anywhere]
    for weights in moved:
        weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
    for work in [distributed.all_reduce(weights.grad, async_op=True) for weights in moved]:
        work.wait()
    for weights in moved:
        weights.grad /= count()


def _agreeing() -> TrainerCallback:
    """A trainer callback by which all processes end where the first one does."""
    import torch
    from torch import distributed
    from transformers import TrainerCallback

    class Agree(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            ends = torch.tensor([control.should_training_stop], dtype=torch.int32, device=args.device)
            distributed.broadcast(ends, src=0)
            control.should_training_stop = bool(ends.item())

    return Agree()


def check_same(model: Any, what: str) -> None:
    """Raises UserError where the processes have trained different weights."""
    import torch
    from torch import distributed

    if count() == 1:
        return
    sums = torch.stack([weights.detach().double().sum() for weights in model.parameters()])
    low, high = sums.clone(), sums.clone()
    distributed.all_reduce(low, distributed.ReduceOp.MIN)
    distributed.all_reduce(high, distributed.ReduceOp.MAX)
    if not torch.allclose(low, high, rtol=0, atol=0, equal_nan=True):  # that all diverged is said later
        raise UserError(f"{what}: the processes have trained different weights; say scale.training.processes: 1")
