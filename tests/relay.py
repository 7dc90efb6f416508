"""A TCP relay that drops connections when it is told to."""

import socket
import threading


class Relay:
    """To a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._left = 0
        self.failed = 0
        """Connections that were dropped."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fail_next(self, number: int) -> None:
        """The next connections end at once, without an answer."""
        self._left = number

    def close(self) -> None:
        """Refuses from now on."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._left:
                self._left -= 1
                self.failed += 1
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(a, b), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()
