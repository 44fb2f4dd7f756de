#!/usr/bin/env python3
"""fanout.py HOST PORT HUB USER COUNT SECONDS RATE SOURCES GO

COUNT sessions as sessions.py opens them. When all are up it prints a line. When the file GO is there one of them sends
RATE broadcasts a second, each in a write of its own, while the others read and throw away. After SECONDS it prints one JSON line:
  {"sent": n, "delivered": n, "seconds": s}
`delivered` counts frames by their bytes, which the four of a batch's own count make 6 % too many at most.
"""
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

from sessions import GREETING, login, unpack

FRAME_BYTES = 60


def frame(number):
    source = b"\x02\x00\x00\x00" + struct.pack(">H", number % 65536)
    # an EtherType for experiments: nothing looks into it
    return b"\xff" * 6 + source + b"\x88\xb6" + bytes(FRAME_BYTES - 14)


def answer(stream):
    got = b""
    while b"\r\n\r\n" not in got:
        got += stream.recv(65536)
    head, body = got.split(b"\r\n\r\n", 1)
    size = 0
    for line in head.decode("latin1").split("\r\n"):
        if line.lower().startswith("content-length:"):
            size = int(line.split(":")[1])
    while len(body) < size:
        body += stream.recv(65536)
    return unpack(body)


def connect(ctx, host, port, hub, user, number, source):
    raw = socket.create_connection((host, port), timeout=30, source_address=(source, 0))
    stream = ctx.wrap_socket(raw)
    stream.sendall(GREETING)
    answer(stream)
    stream.sendall(login(hub, user, number))
    welcome = answer(stream)
    if welcome.get("error") or "session_name" not in welcome:
        raise OSError("login error %s" % welcome.get("error"))
    return stream


def keep_alive(streams):
    for stream in streams:
        stream.sendall(struct.pack(">II", 0xFFFFFFFF, 4) + b"idle")


def drain(streams, total, done):
    """Reads from all until done is set."""
    poll = select.epoll()
    by_fd = {}
    for stream in streams:
        stream.setblocking(False)
        poll.register(stream.fileno(), select.EPOLLIN)
        by_fd[stream.fileno()] = stream
    room = bytearray(1 << 18)
    while not done.is_set():
        for fd, _ in poll.poll(0.2):
            try:
                while True:
                    got = by_fd[fd].recv_into(room)
                    if got == 0:
                        poll.unregister(fd)
                        break
                    total[0] += got
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
            except OSError:
                poll.unregister(fd)


def main():
    host, port, hub, user, count, seconds, rate = (
        sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), float(sys.argv[6]), int(sys.argv[7]))
    first, last = sys.argv[8].split("-")
    net, low = first.rsplit(".", 1)
    sources = ["%s.%d" % (net, k) for k in range(int(low), int(last) + 1)]
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    streams, heard = [], time.monotonic()
    for i in range(count):
        streams.append(connect(ctx, host, port, hub, user, i, sources[i % len(sources)]))
        if time.monotonic() - heard > 3:
            keep_alive(streams)
            heard = time.monotonic()
    keep_alive(streams)
    sender, total, done = streams[0], [0], threading.Event()
    reader = threading.Thread(target=drain, args=(streams[1:], total, done))
    reader.start()
    print("ready", flush=True)
    while not os.path.exists(sys.argv[9]):
        time.sleep(0.01)
    before, sent, start = total[0], 0, time.monotonic()
    data = struct.pack(">II", 1, FRAME_BYTES) + frame(1)
    while (now := time.monotonic() - start) < seconds:
        if sent < now * rate:
            sender.sendall(data)
            sent += 1
        else:
            time.sleep(0.0002)
    elapsed = time.monotonic() - start
    delivered = (total[0] - before) // (FRAME_BYTES + 4)
    print(json.dumps({"sent": sent, "delivered": delivered, "seconds": round(elapsed, 3)}), flush=True)
    done.set()
    reader.join()


main()
