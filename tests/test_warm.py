"""The server that stages' commands are forked from: a command there is what it is anywhere else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stages.running import job, warm
from tests.conftest import ROOT, run
from tests.test_reproduce import wait_until

STAGE = """
import os, sys, time
print(os.getppid(), os.getcwd(), *sys.argv[1:], os.environ["COLOUR"], __name__, "torch" in sys.modules)
print(sys.stdin.read(), file=sys.stderr)
if sys.argv[1] == "wait":
    open("pid", "w").write(str(os.getpid()))
    time.sleep(60)
sys.exit(int(sys.argv[1]))
"""
SERVER = """
import sys; sys.path.insert(0, sys.argv[1])
import server
server.LIBRARIES = server.LATER = ()
server.main(*sys.argv[2:])
"""


@pytest.fixture
def server(tmp_path):
    """A server without libraries, in a folder with a stage."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/demo.py").write_text(STAGE)
    command = [sys.executable, "-c", SERVER, str(warm.SERVER.parent), str(tmp_path / "socket"), str(tmp_path / "ready")]
    process = subprocess.Popen(command)
    wait_until((tmp_path / "ready").exists)
    yield process
    process.kill()
    process.wait()


def launched(folder: Path, command: str) -> subprocess.Popen:
    environment = {**os.environ, "STAGE_SERVER": str(folder / "socket"), "COLOUR": "red"}
    return subprocess.Popen(
        [sys.executable, str(job.LAUNCH), "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_forked_command_has_its_arguments_environment_folder_outputs_and_exit_code(server, tmp_path):
    process = launched(tmp_path, "python -m stages.demo 3 --out some/where")
    out, errors = process.communicate(timeout=10)
    assert out.split() == [str(server.pid), str(tmp_path), "3", "--out", "some/where", "red", "__main__", "False"]
    assert process.returncode == 3 and errors == "\n"
    assert launched(tmp_path, "python -m stages.nothing").communicate(timeout=10)[1].endswith("stages.nothing\n")


def test_what_is_not_a_plain_stage_runs_in_a_shell(server, tmp_path):
    assert launched(tmp_path, "echo $COLOUR | tr r b").communicate(timeout=10)[0] == "bed\n"
    server.kill()
    server.wait()
    environment = {"COLOUR": "red", "STAGE_SERVER": str(tmp_path / "socket")}
    assert "__main__" in run(f"{job.LAUNCH} -c 'python -m stages.demo 0'", tmp_path, **environment).stdout


@pytest.mark.parametrize("victim", ["client", "server"])
def test_a_forked_command_ends_with_who_asked_for_it_and_with_the_server(victim, server, tmp_path):
    client = launched(tmp_path, "python -m stages.demo wait")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    {"client": client, "server": server}[victim].send_signal(signal.SIGTERM)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    client.kill()


def test_a_server_is_started_where_it_pays(tmp_path):
    with warm.server(["evaluate", "page", "train@a"], 1, tmp_path / "log") as none:
        assert none is None
    waiting = warm.Warm(tmp_path / "socket", tmp_path / "ready")
    assert waiting.socket_for("encode-interpolated@a-b") and waiting.socket_for("search@a-b") is None
    (tmp_path / "ready").touch()
    assert waiting.socket_for("search@a-b")


def test_loading_the_libraries_computes_nothing_and_starts_no_pool():
    """What must hold of a process that others are forked from."""
    check = (
        "import sys; sys.path.insert(0, sys.argv[1]); import server, threading; before = threading.active_count()\n"
        "for name in (*server.LIBRARIES, *server.LATER): server._load(name); assert name in sys.modules, name\n"
        "import torch; assert not torch.cuda.is_initialized() and not server._has_touched_a_gpu()\n"
        "assert threading.active_count() == before and not any(name.startswith('stages') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check, str(warm.SERVER.parent)], check=True, cwd=ROOT)
