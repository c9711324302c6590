"""A proxy between the portal and PostgreSQL that cuts a connection at the worst moments: while a statement is on its
way to the server, or while the server's answer to it is on its way back.
"""

import socket
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class When(StrEnum):
    """When a connection is cut."""

    BEFORE = "before the server has it"
    AFTER = "after the server did it, before its answer arrives"


class Proxy:
    """Listens on a port of the loopback and passes everything on, but for what it was told to cut."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._folder, self._name = unquote(parse_qs(parts.query)["host"][0]), parts.path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._watched: tuple[bytes, When] | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def database_url(self) -> str:
        port = self._listening.getsockname()[1]
        return f"postgresql+psycopg://postgres:@127.0.0.1:{port}{self._name}"

    def cut_next(self, said: bytes, when: When) -> None:
        """Cuts the next connection on which the portal says this."""
        self._watched = (said, when)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(next(Path(self._folder).glob(".s.PGSQL.*[0-9]"))))
            silent = threading.Event()
            back = threading.Thread(target=self._bring_back, args=(server, client, silent), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    when = self._cut_now(data)
                    if when is When.BEFORE:
                        break
                    if when is When.AFTER:
                        silent.set()
                    server.sendall(data)
                    if when is When.AFTER:
                        back.join(timeout=10)  # the server has answered, and nobody hears it
                        break
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join(timeout=10)

    def _cut_now(self, data: bytes) -> When | None:
        if self._watched is None or self._watched[0] not in data:
            return None
        when, self._watched = self._watched[1], None
        self.cuts += 1
        return when

    def _bring_back(self, server: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if silent.is_set():
                    return
                client.sendall(data)
