"""What answers in place of the hub and of the judge's endpoint: a server on this machine alone.

Of the hub it has what downloads of a pinned snapshot ask for: a revision's list of files, and each file. Of the
endpoint it has chat completions, whose labels are those of judge `cues`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from polya_midtrain.common.heuristics import Catalogue
from polya_midtrain.judges.contract import Chain
from polya_midtrain.judges.cues import CueJudge

Snapshot = tuple[str, str]
"""(id, revision) of a model."""

Reply = tuple[int, bytes, dict[str, str]]


class Loopback:
    """The server's answers: the files of the folders in ``snapshots``, and labels by the catalogue's cues."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.snapshots: dict[Snapshot, Path] = {}
        self._judge = CueJudge({entry.id: entry.cues for entry in catalogue.heuristics if entry.cues})

    def fetch(self, path: str) -> Reply:
        """GET or HEAD: ``/api/models/ID/tree/REVISION`` or ``/ID/resolve/REVISION/FILE``."""
        for (name, revision), folder in self.snapshots.items():
            if path == f"/api/models/{name}/tree/{revision}":
                files = sorted(file for file in folder.iterdir() if file.is_file())
                tree = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _digest(file)[:40]}
                    for file in files
                ]
                return 200, json.dumps(tree).encode(), {"Content-Type": "application/json"}
            file = folder / path.removeprefix(f"/{name}/resolve/{revision}/")
            if path == f"/{name}/resolve/{revision}/{file.name}" and file.is_file():
                return 200, file.read_bytes(), {"ETag": f'"{_digest(file)}"', "X-Repo-Commit": revision}
        known = any(f"/{name}/" in path for name, _ in self.snapshots)
        return 404, b"", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"}

    def complete(self, path: str, body: Mapping[str, Any]) -> Reply:
        """POST ``/v1/chat/completions``: the heuristics of the chain in the user's turn."""
        if path != "/v1/chat/completions":
            return 404, b"", {}
        question, _, response = body["messages"][-1]["content"].partition("\n\nSolution:\n")
        (labels,) = self._judge.labels([Chain(question, response)])
        content = json.dumps({"heuristics": sorted(labels)})
        reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}
        return 200, json.dumps(reply).encode(), {"Content-Type": "application/json"}


@contextmanager
def serving(content: Loopback) -> Iterator[str]:
    """The server's address, such as ``http://127.0.0.1:40001``, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(content.fetch(unquote(urlsplit(self.path).path)))

        do_HEAD = do_GET

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(content.complete(self.path, body))

        def _send(self, reply: Reply) -> None:
            status, data, headers = reply
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
