"""A TCP proxy that adds delay: `python -m benchmarks.slow_link PORT SOCKET MILLISECONDS`, run as a process of its own.

SOCKET is the path of a Unix socket. Every chunk is delayed by half of the time, so a round trip takes all of it.
"""

import contextlib
import socket
import sys
import threading
import time

CHUNK_BYTES = 64 * 1024


def main(port: int, path: str, round_trip_ms: float) -> None:
    """Accepts connections on 127.0.0.1 until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=_forward, args=(source, sink, round_trip_ms / 2_000), daemon=True
                ).start()


def _forward(source: socket.socket, sink: socket.socket, delay_seconds: float) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            time.sleep(delay_seconds)
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
