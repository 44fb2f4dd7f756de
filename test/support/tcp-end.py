"""One end of a TCP connection of the kernel's: sends numbered bytes, takes what comes, and tells how it went."""
import hashlib
import json
import socket
import struct
import sys
import threading
import time

plan = json.loads(sys.argv[1])
PATTERN = bytes(range(251)) * 4096


def report(result):
    print(json.dumps(result), flush=True)


def send(connection, result):
    left = plan["send"]
    try:
        while left > 0:
            part = min(left, len(PATTERN))
            connection.sendall(PATTERN[:part])
            left -= part
        if plan["close"] == "half":
            connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        result["sendError"] = error.errno


def receive(connection, result):
    digest = hashlib.sha256()
    received = 0
    time.sleep(plan["readAfter"])
    try:
        while plan["take"] < 0 or received < plan["take"]:
            data = connection.recv(1 << 18)
            if not data:
                result["end"] = True
                break
            received += len(data)
            digest.update(data)
    except OSError as error:
        result["receiveError"] = error.errno
    result["received"] = received
    result["digest"] = digest.hexdigest()


def run(connection):
    result = {}
    # What is compared with must not depend on what this machine has chosen; every kernel has this one.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    started = time.monotonic()
    sender = threading.Thread(target=send, args=(connection, result))
    sender.start()
    receive(connection, result)
    if plan["close"] == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.join()
    connection.close()
    result["seconds"] = time.monotonic() - started
    report(result)


family = socket.AF_INET6 if ":" in plan["address"] else socket.AF_INET
if plan["role"] == "server":
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((plan["address"], plan["port"]))
    listener.listen(1)
    listener.settimeout(30)
    run(listener.accept()[0])
else:
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(30)
    started = time.monotonic()
    try:
        client.connect((plan["address"], plan["port"]))
    except OSError as error:
        report({"connectError": error.errno, "seconds": time.monotonic() - started})
        sys.exit()
    run(client)
