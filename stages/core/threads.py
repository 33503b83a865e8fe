"""How many threads a stage computes with: the last bits of a trained model depend on it."""

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def limit(threads: int | None) -> None:
    """Compute with so many threads from here on; None leaves it to the libraries, which take all cores.

    Libraries that are loaded later read it from the environment, torch takes it at any time.
    """
    if threads is None:
        return
    for name in VARIABLES:
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
