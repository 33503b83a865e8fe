"""A process that has loaded the large libraries, and forks the stages' commands: a start then costs nothing.

Run as a file, so that it holds no module of `stages`; each child loads those itself. It touches no GPU, which a forked
process could not use then, and computes nothing. It ends with the run that started it.
"""

import array
import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import NoReturn

LIBRARIES = (
    "click",
    "pydantic.main",
    "ruamel.yaml",
    "numpy",
    "pyarrow.parquet",
    "torch",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "datasets",
    "sentence_transformers",
    "peft",
    "peft.utils.save_and_load",
    "scipy.stats",
)
LATER = (
    "ir_measures",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "altair",
    "umap",
)  # when idle
PR_SET_PDEATHSIG = 1
BETWEEN = 0.05


def main(path: str, ready: str) -> None:
    """Listen at a socket from the start, so that who comes early waits; `ready` appears with the libraries."""
    _end_with_parent()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    for name in LIBRARIES:
        _load(name)
    if _has_touched_a_gpu():
        return
    gc.freeze()
    open(ready, "w").close()
    _serve(listener, list(LATER))


def _load(name: str) -> None:
    with suppress(ImportError):
        importlib.import_module(name)


def _serve(listener: socket.socket, later: list[str]) -> None:
    """Fork a command for each client; whose client is gone is killed."""
    clients: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            events = selector.select(BETWEEN)
            if not events and later:
                _load(later.pop(0))
            for key, _ in events:
                if key.fileobj is listener:
                    client = listener.accept()[0]
                    if (order := _received(client)) and (pid := _forked(order, [listener, client, *clients.values()])):
                        clients[pid] = client
                        selector.register(client, selectors.EVENT_READ)
                else:
                    pid = next(pid for pid, client in clients.items() if client is key.fileobj)
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
            for pid in list(clients):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    client = clients.pop(pid)
                    selector.unregister(client)
                    with suppress(OSError):
                        client.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode())
                    client.close()


def _received(client: socket.socket) -> dict | None:
    """A client's order: module, arguments, environment, folder, and the files that are its input and outputs."""
    message, ancillary, _, _ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
    files = array.array("i")
    for _, _, data in ancillary:
        files.frombytes(data)
    while not message.endswith(b"\n"):
        more = client.recv(1 << 20)
        if not more:
            return None
        message += more
    return {**json.loads(message), "files": list(files)}


def _forked(order: dict, sockets: list[socket.socket]) -> int:
    """Fork the child that runs an order; its process id. The child does not come back."""
    pid = os.fork()
    if pid:
        for file in order["files"]:
            os.close(file)
        return pid
    os.setpgid(0, 0)
    _end_with_parent()
    for one in sockets:
        one.close()
    for target, file in enumerate(order["files"]):
        os.dup2(file, target)
        os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    sys.argv = [order["module"], *order["arguments"]]
    sys.path[:1] = [order["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    _end(_run(order["module"]))


def _run(module: str) -> int:
    """Run a module as `python -m` does; its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as a process does, without taking the libraries apart, which takes longer than many a stage."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _has_touched_a_gpu() -> bool:
    """Whether a library loaded NVIDIA's driver, after which no forked process can use it."""
    try:
        with open("/proc/self/maps") as maps:
            return "libcuda.so" in maps.read()
    except FileNotFoundError:
        return True


def _end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    main(*sys.argv[1:])
