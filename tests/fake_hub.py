"""A hub on this machine's own loopback address: enough of its API for the real client to list and fetch a repository."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """``with FakeHub({"someone/some-model": {"config.json": b"…"}}) as hub``; ``asked`` are the requests, in order.

    ``hold`` makes the second half of weights wait until it is set. ``gated`` names need consent.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]], gated: frozenset[str] = frozenset()) -> None:
        self.repositories, self.gated = repositories, gated
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.hold: threading.Event | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path))
            hub.tokens.add(self.headers.get("Authorization", ""))
            api = path.startswith("/api/models/")
            parts = path.removeprefix("/api/models/" if api else "/").split("/")
            name = "/".join(parts[:2])
            files = hub.repositories.get(name)
            if files is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
            elif name in hub.gated:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
            elif api and "tree" in parts:
                rows = [
                    {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for file, content in files.items()
                ]
                self._send(200, json.dumps(rows).encode(), {}, body=body)
            elif api:
                siblings = [{"rfilename": file, "size": len(content)} for file, content in files.items()]
                told = {"id": name, "sha": SHA, "siblings": siblings, "tags": [], "private": False, "downloads": 0}
                self._send(200, json.dumps(told).encode(), {}, body=body)
            else:
                file = "/".join(parts[4:])
                self._send_file(file, files.get(file), body=body)

        def _send_file(self, file: str, content: bytes | None, *, body: bool) -> None:
            if content is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": SHA}, body=body)
                return
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            told = {"X-Repo-Commit": SHA, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
            if start:
                told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206 if start else 200, content[start:], told, body=body, held=file.endswith(".safetensors"))

        def _send(
            self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool, held: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if not body:
                return
            half = len(content) // 2 if held and hub.hold is not None else len(content)
            self.wfile.write(content[:half])
            if half < len(content) and hub.hold is not None:
                self.wfile.flush()
                hub.hold.wait()
            try:
                self.wfile.write(content[half:])
            except OSError:  # who asked is gone
                self.close_connection = True

    return Handler
