"""A hub on 127.0.0.1 that answers as the real one does: resolve addresses, linked checksums, ranges, licences."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What it has, and how it misbehaves. `files` are of every repository."""

    files: dict[str, bytes]
    commit: str = COMMIT
    token: str = ""
    """Without it nothing is given."""
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next answers break off."""
    spoil: str = ""
    """The file whose bytes arrive changed."""
    fails: int = 0
    """A status that answers everything."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Range) of every request."""
    home: str = ""

    def etag(self, name: str) -> str:
        data = self.files[name]
        if self.large(name):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()

    def large(self, name: str) -> bool:
        return name.endswith(".safetensors")

    def sent(self, name: str) -> list[str]:
        """The ranges in which a file was asked for."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(name)]


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that has these files, as long as the block runs."""
    hub = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.home = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        hub, span = self.hub, self.headers.get("Range") or ""
        hub.asked.append((self.command, self.path, span))
        _, _, name = self.path.partition("/main/") if "/resolve/" in self.path else self.path.partition("/cdn/")
        if hub.fails:
            return self._say(hub.fails)
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}" and "/resolve/" in self.path:
            return self._say(401, {"X-Error-Code": "GatedRepo"})
        if name not in hub.files:
            return self._say(404, {"X-Error-Code": "EntryNotFound"})
        told = {"X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"}
        if "/resolve/" in self.path and hub.large(name):
            linked = {"X-Linked-Etag": f'"{hub.etag(name)}"', "X-Linked-Size": str(len(hub.files[name]))}
            return self._say(302, {**told, **linked, "Location": f"{hub.home}/cdn/{name}"})
        data = hub.files[name]
        if name == hub.spoil:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = int(span.removeprefix("bytes=").split("-")[0]) if span else 0
        part = data[start:]
        if span:
            told["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(206 if span else 200)
        for key, value in {**told, "ETag": f'"{hub.etag(name)}"', "Content-Length": str(len(part))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            if hub.cuts:
                self.wfile.write(part[: hub.cuts.pop(0)])
                self.close_connection = True
                return None
            self.wfile.write(part)
        return None

    def _say(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()
