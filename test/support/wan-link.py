#!/usr/bin/env python3
"""wan-link.py DEVICE DEVICE DELAY_MS LOSS_PERCENT [SEED]

A long, lossy cable: takes each frame that comes in by one device and sends it out by the other DELAY_MS later,
or never. For kernels without sch_netem, and for tests that want the same losses each time. Both devices are veth
ends that nothing else uses; what sends into them must not use segmentation offload (gso_max_segs 1), or one loss
would take many segments along. Prints "ready" and goes on until it is killed.
"""
import collections
import random
import select
import socket
import sys
import time

SOL_PACKET = 263
# A frame keeps its virtio_net_hdr on the way, and with it the checksum that its sender left to the hardware.
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
# As netem: what is under way at most, in frames.
LIMIT = 20000

devices, delay, loss = sys.argv[1:3], float(sys.argv[3]) / 1000, float(sys.argv[4]) / 100
chance = random.Random(int(sys.argv[5]) if len(sys.argv) > 5 else 1)


def attach(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    s.bind((device, ETH_P_ALL))
    s.setblocking(False)
    return s


ends = [attach(device) for device in devices]
under_way = {end: collections.deque() for end in ends}
other = {ends[0]: ends[1], ends[1]: ends[0]}
print("ready", flush=True)
while True:
    due = min((q[0][0] for q in under_way.values() if q), default=None)
    wait = None if due is None else max(0, due - time.monotonic())
    for end in select.select(ends, [], [], wait)[0]:
        queue = under_way[other[end]]
        # Some at a time, so that what is due does not wait for a flood.
        for _ in range(64):
            try:
                frame = end.recv(65600)
            except BlockingIOError:
                break
            if chance.random() >= loss and len(queue) < LIMIT:
                queue.append((time.monotonic() + delay, frame))
    now = time.monotonic()
    for end, queue in under_way.items():
        while queue and queue[0][0] <= now:
            try:
                end.send(queue.popleft()[1])
            except OSError:
                # A full or absent device loses the frame, as a cable does.
                continue
