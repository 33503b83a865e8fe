"""What the layers of a model compute in: what params.yaml asks for, or what the hardware computes natively."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

NAME = "computed.json"
# Of oneDNN's names for instruction sets, those that have bfloat16; it computes with none above the one it is told.
ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
WITH_BFLOAT16 = ("ALL", "DEFAULT", "BF16", "FP16", "AMX", "AVX10")


def chosen(asked: str) -> str:
    """float32, bfloat16 or float16: what `asked` names, and for "auto" what this machine computes natively.

    Prints what "auto" came to. bfloat16 that is asked for by name where a processor only emulates it is a printed
    warning.
    """
    precision = native() if asked == "auto" else asked
    if asked == "auto":
        click.echo(f"computes in {precision}, which {hardware()} does natively")
    elif asked == "bfloat16" and native() == "float32":
        click.echo(f"warning: {hardware()} emulates bfloat16, which is slower than float32", err=True)
    return precision


def native() -> str:
    """The fastest precision that the hardware computes by itself: the GPU where torch finds one, else the processor.

    A GPU has bfloat16 from compute capability 8.0 and fast float16 from 7.0. Of processors, those with AVX512_BF16
    have bfloat16; so have those with AMX, which all have both.
    """
    import torch

    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if torch.cuda.get_device_capability() >= (7, 0) else "float32"
    if torch.cpu._is_avx512_bf16_supported() and _may_use_bfloat16():
        return "bfloat16"
    return "float32"


def hardware() -> str:
    """What the models run on, in words."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "this processor"


def device() -> str:
    """The kind of GPU, or of CPU by the widest instructions that torch uses there: of one kind are equal bytes."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"a CPU with {torch.backends.cpu.get_cpu_capability()}"


def record(precision: str, folder: Path) -> None:
    """Write what vectors or scores were computed in next to them."""
    (folder / NAME).write_text(json.dumps({"precision": precision}) + "\n")


def recorded(folder: Path) -> str | None:
    """What the vectors or scores of a folder were computed in; None where no model made them."""
    path = folder / NAME
    return json.loads(path.read_text())["precision"] if path.is_file() else None


def _may_use_bfloat16() -> bool:
    limits = [os.environ[name].upper() for name in ISA_VARIABLES if os.environ.get(name)]
    return all(any(word in limit for word in WITH_BFLOAT16) for limit in limits)
