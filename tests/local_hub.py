"""A hub on this machine that speaks the protocol of huggingface_hub: repositories are folders, with one commit each."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories by name; those in `gated` are listed and not given; `asked` holds the paths of files given."""

    def __init__(self, repositories: dict[str, Path], gated: tuple[str, ...] = ()) -> None:
        self.repositories, self.gated, self.asked = repositories, gated, []

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for /api/models/<name>/<tree>/... and <name>/resolve/<revision>/<file>."""
        parts = unquote(urlsplit(path).path).removeprefix("/api/models").strip("/").split("/")
        if len(parts) < 4:
            return 404, {}, b"{}"
        name, action, revision = "/".join(parts[:2]), parts[2], parts[3]
        if name not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if revision not in (COMMIT, "main"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        folder = self.repositories[name]
        if action == "revision":
            return 200, {}, json.dumps({"id": name, "sha": COMMIT}).encode()
        if action == "tree":
            return 200, {}, json.dumps([_entry(path, folder) for path in sorted(folder.rglob("*"))]).encode()
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        file = "/".join(parts[4:])
        if not (folder / file).is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"
        self.asked.append(file)
        content = (folder / file).read_bytes()
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    kind = "directory" if path.is_dir() else "file"
    size = path.stat().st_size
    oid = hashlib.sha1(path.read_bytes() if path.is_file() else b"").hexdigest()
    return {"type": kind, "path": path.relative_to(folder).as_posix(), "size": size, "oid": oid}


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The address of a running server of a hub."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
