#!/usr/bin/env python3
"""What DVC calls as $SHELL: it runs a stage's command, which ends with the process that called for it.

It runs before every stage and imports nothing that takes time. Called as `launch.py -c <command>`. Where STAGE_SERVER
names the socket of a server that has loaded the large libraries, a plain `python -m stages.<stage>` is forked there.
Where STAGE_CLUSTER says what the stage needs of a Ray cluster, the command runs there.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
SHELL = "/bin/sh"
PLAIN = ("python", "-m")
SPECIAL = set("|&;<>()$`\\\"'*?[]#~%\n")


def main() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        _end_with(parent)
    command = sys.argv[2]
    os.environ["SHELL"] = os.environ.pop("STAGE_SHELL", SHELL)
    path = os.environ.pop("STAGE_SERVER", None)
    asked = os.environ.pop("STAGE_CLUSTER", None)
    words = command.split()
    if is_plain := tuple(words[:2]) == PLAIN and SPECIAL.isdisjoint(command):
        command = f"exec {command}"  # so that no shell stands between it and its parent's end
    if asked:
        os.execv(sys.executable, [sys.executable, "-m", "stages.running.away", "run", asked, command])
    if path and is_plain and words[2].startswith("stages."):
        code = _forked_at(path, words[2], words[3:])
        if code is not None:
            sys.exit(code if code >= 0 else 128 - code)
    os.execv(SHELL, [SHELL, "-c", command])


def _forked_at(path: str, module: str, arguments: list[str]) -> int | None:
    """The exit code of a module that the server ran for this process; None where there is no server any more."""
    import json
    import socket

    order = {"module": module, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
        socket.send_fds(server, [json.dumps(order).encode() + b"\n"], [0, 1, 2])
        answer = server.recv(64)
    except OSError:
        return None
    return int(answer) if answer else None


def _end_with(parent: int) -> None:
    """Have the kernel kill this process, also under another program, when its parent ends."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
