#!/usr/bin/env python3
"""Flows through a NAT, many at once.

nat-entries.py serve PORT              echoes TCP and UDP, for ever
nat-entries.py hold tcp|udp HOST PORT COUNT
                                       opens so many, sees a byte come back on each, prints "held N", keeps them
nat-entries.py connect HOST PORT SECONDS
                                       connections that open, carry a byte each way and close, 32 at a time: how many a second
"""
import errno
import resource
import select
import socket
import sys
import time

WIDTH = 32
PATIENCE = 20.0

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(port):
    tcp = socket.create_server(("0.0.0.0", port), backlog=4096)
    tcp.setblocking(False)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    udp.bind(("0.0.0.0", port))
    udp.setblocking(False)
    poll = select.epoll()
    poll.register(tcp, select.EPOLLIN)
    poll.register(udp, select.EPOLLIN)
    held = {}
    while True:
        for fd, _ in poll.poll():
            if fd == tcp.fileno():
                try:
                    peer = tcp.accept()[0]
                except OSError:
                    continue
                peer.setblocking(False)
                held[peer.fileno()] = peer
                poll.register(peer, select.EPOLLIN)
            elif fd == udp.fileno():
                data, source = udp.recvfrom(2048)
                udp.sendto(data, source)
            else:
                peer = held[fd]
                try:
                    data = peer.recv(2048)
                    if data:
                        peer.send(data)
                        continue
                except OSError:
                    pass
                poll.unregister(fd)
                del held[fd]
                peer.close()


class Pool:
    """Sockets on their way to the first byte back."""

    def __init__(self, kind, target):
        self.kind = kind
        self.target = target
        self.poll = select.epoll()
        self.waiting = {}

    def begin(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if self.kind == "tcp" else socket.SOCK_DGRAM)
        s.setblocking(False)
        result = s.connect_ex(self.target)
        if result not in (0, errno.EINPROGRESS):
            s.close()
            return False
        self.waiting[s.fileno()] = (s, time.monotonic())
        self.poll.register(s, select.EPOLLOUT)
        return True

    def turn(self, timeout=0.2):
        """Those that have seen their byte, and how many have failed."""
        done, failed = [], 0
        for fd, events in self.poll.poll(timeout):
            s, _ = self.waiting[fd]
            try:
                if events & select.EPOLLIN:
                    if not s.recv(16):
                        raise OSError
                    self.poll.unregister(fd)
                    del self.waiting[fd]
                    done.append(s)
                elif events & select.EPOLLOUT:
                    s.send(b"x")
                    self.poll.modify(fd, select.EPOLLIN)
                else:
                    raise OSError
            except OSError:
                failed += self.drop(fd)
        now = time.monotonic()
        for fd in [fd for fd, (_, since) in self.waiting.items() if now - since > PATIENCE]:
            failed += self.drop(fd)
        return done, failed

    def drop(self, fd):
        s, _ = self.waiting.pop(fd)
        self.poll.unregister(fd)
        s.close()
        return 1


def hold(kind, target, count):
    pool, held, failed = Pool(kind, target), [], 0
    while len(held) + failed < count:
        while len(pool.waiting) < WIDTH and len(held) + failed + len(pool.waiting) < count:
            if not pool.begin():
                failed += 1
        done, lost = pool.turn()
        held += done
        failed += lost
        # A NAT that is full would be asked for minutes.
        if failed >= 2 * WIDTH:
            break
    print("held", len(held), flush=True)
    time.sleep(600)


def connect(target, seconds):
    pool, count, end = Pool("tcp", target), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        while len(pool.waiting) < WIDTH:
            if not pool.begin():
                break
        done, _ = pool.turn()
        count += len(done)
        for s in done:
            # Without a trace of it, or the ports of this end would be used up.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
    print(round(count / seconds))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
elif sys.argv[1] == "hold":
    hold(sys.argv[2], (sys.argv[3], int(sys.argv[4])), int(sys.argv[5]))
else:
    connect((sys.argv[2], int(sys.argv[3])), float(sys.argv[4]))
