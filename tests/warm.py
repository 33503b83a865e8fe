"""`python -m stages.x` and `dvc ...` of the tests, forked from one server that has loaded the libraries.

The server is that of stages/running with more libraries. Programs called `python` and `dvc` that stand first on a
test's path have their command forked there; all else that `python` is asked for runs in Python as ever.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stages.running import warm

NAME = "TESTS_SERVER"  # the folder of programs and socket, in the environment
LIBRARIES = (
    "accelerate",
    "bm25s",
    "dulwich.client",
    "dulwich.repo",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.dvcfile",
    "dvc.lock",
    "dvc.repo.experiments",
    "dvc.repo.reproduce",
    "dvc.rwlock",
    "dvc_render",
    "faiss",
    "flufl.lock",
    "ir_datasets",
    "lion_pytorch",
    "matplotlib.pyplot",
    "networkx",
    "pandas",
    "PIL.PngImagePlugin",
    "pyarrow.acero",
    "pydantic.dataclasses",
    "pydantic.json_schema",
    "pydantic.type_adapter",
    "pytrec_eval",
    "scmrepo.git",
    "sentence_transformers.cross_encoder",
    "sentence_transformers.multi_vector_encoder.losses",
    "simpleeval",
    "sklearn.metrics",
    "Stemmer",
    "transformers.models.bert.tokenization_bert",
    "vl_convert",
)
SERVER = """
import gc, select, socket, sys
sys.path[0] = sys.argv[1]
import server
server._end_with_parent()
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen(64)
select.select([listener], [], [])  # libraries are loaded once somebody asks
for name in [*server.LIBRARIES, *server.LATER, *sys.argv[3:]]:
    server._load(name)
gc.freeze()
server.BETWEEN = 0.01
server._serve(listener, [])
"""
PROGRAM = """#!{python} -IS
import os, sys
sys.path.append({running!r})
import launch
module, *words = [{module!r}, *sys.argv[1:]] if {module!r} else [*sys.argv[1:], ""][1:]
if {module!r} or (sys.argv[1:2] == ["-m"] and module.startswith(("stages.", "studies.", "tests."))):
    code = launch._forked_at({socket!r}, module, words if {module!r} else words[:-1])
    sys.exit(1 if code is None else code if code >= 0 else 128 - code)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server, until the context ends or this process does; the folder to name as TESTS_SERVER."""
    with tempfile.TemporaryDirectory(prefix="tests-") as folder:
        socket, running = str(Path(folder) / "socket"), str(warm.SERVER.parent)
        for name, module in (("python", ""), ("dvc", "dvc")):
            program = Path(folder) / name
            known = {"python": sys.executable, "running": running, "socket": socket, "module": module}
            program.write_text(PROGRAM.format(**known))
            program.chmod(0o755)
        command = [sys.executable, "-c", SERVER, running, socket, *LIBRARIES]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=folder, **quiet) as process:
            try:
                while not os.path.exists(socket):
                    assert process.poll() is None
                yield folder
            finally:
                process.kill()
