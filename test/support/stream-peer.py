#!/usr/bin/env python3
"""Run in a namespace by streams(): `receive ADDRESS PORT` or `send ADDRESS PORT FLOWS PER_SECOND SECONDS`. Each flow is
a socket with a port of its own. The receiver ends with the stream; both print one JSON line. In Python for
SO_RCVBUFFORCE: on a busy machine the receiver's own buffer must not be what loses datagrams."""
import json
import socket
import struct
import sys
import time

SO_RCVBUFFORCE = 33
# Of a datagram: flow and number, and so much more that it is bulk and nothing urgent.
BYTES = 400
LAST = 0xFFFFFFFF
# What went by another connection may come after the first word of the end.
STRAGGLERS_S = 1.5

role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def send(flows, per_second, seconds):
    sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(flows)]
    count, started = per_second * seconds, time.monotonic()

    def say(number):
        for flow, s in enumerate(sockets):
            # Not connected: the receiver may end before the last word of the end.
            s.sendto(struct.pack(">II", flow, number).ljust(BYTES, b"."), (address, port))

    for number in range(count):
        # A late pass is made up for, so that the number sent is what was asked for.
        time.sleep(max(0, started + number / per_second - time.monotonic()))
        say(number)
    # The end is told more than once: it may be lost like anything else.
    for _ in range(20):
        time.sleep(0.1)
        say(LAST)
    return {"sent": count}


def receive():
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.bind((address, port))
    numbers, last, gaps, end = {}, {}, {}, None
    while end is None or time.monotonic() < end:
        s.settimeout(None if end is None else max(0.01, end - time.monotonic()))
        try:
            flow, number = struct.unpack_from(">II", s.recv(2048))
        except socket.timeout:
            break
        now = time.monotonic()
        if number == LAST:
            end = end or now + STRAGGLERS_S
            continue
        numbers.setdefault(flow, set()).add(number)
        gaps[flow] = max(gaps.get(flow, 0), now - last.get(flow, now))
        last[flow] = now
    return [{"received": len(numbers[f]), "longestGapMs": round(gaps[f] * 1000)} for f in sorted(numbers)]


print(json.dumps(receive() if role == "receive" else send(*map(int, sys.argv[4:7]))))
