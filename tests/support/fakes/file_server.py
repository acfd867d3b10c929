"""A small HTTP server of files in memory, for what fetches from the web."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = b"x" * 65536


class FileServer:
    """Serves `files` by path, counts requests, and has `/endless`, which never stops sending."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[str] = []
        self.url = ""


@contextmanager
def serving(**files: bytes) -> Iterator[FileServer]:
    """A server of `files` on the loopback until the block ends."""
    shared = FileServer({f"/{name}": content for name, content in files.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(shared))
    shared.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield shared
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(shared: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shared.requests.append(self.path)
            if self.path == "/endless":
                self._send_without_end()
            elif self.path == "/circle":
                self.send_response(302)
                self.send_header("Location", "/circle")
                self.end_headers()
            elif (content := shared.files.get(self.path)) is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def _send_without_end(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(CHUNK)
            except OSError:
                return

        def log_message(self, *_arguments: object) -> None:
            """Nothing: tests look at `requests`."""

    return Handler
