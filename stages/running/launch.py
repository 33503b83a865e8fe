#!/usr/bin/env python3
"""What DVC calls as $SHELL: a stage's command, which ends with the process that called it.

It runs before every stage and imports nothing that takes time. Called as `launch.py -c <command>`.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        _end_with(parent)
    command = sys.argv[2]
    os.environ["SHELL"] = os.environ.pop("STAGE_SHELL", "/bin/sh")
    os.execv("/bin/sh", ["/bin/sh", "-c", command])


def _end_with(parent: int) -> None:
    """Have the kernel kill this process, also under another program, when its parent ends."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
