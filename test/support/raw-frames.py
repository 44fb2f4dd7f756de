#!/usr/bin/env python3
"""Whole Ethernet frames on an interface, as lines of hexadecimal digits.

raw-frames.py send DEVICE           sends each line of standard input
raw-frames.py listen DEVICE PREFIX  prints "ready", then each frame that comes in and contains PREFIX (hexadecimal)
"""
import socket
import struct
import sys

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_AUXDATA = 8
PACKET_MR_PROMISC = 1
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
TP_STATUS_VLAN_VALID = 1 << 4


def send(device):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((device, 0))
    for line in sys.stdin:
        raw.send(bytes.fromhex(line.strip()))


def whole(frame, control):
    """Puts a tag back that the kernel keeps beside the frame."""
    for level, kind, data in control:
        if level != SOL_PACKET or kind != PACKET_AUXDATA:
            continue
        status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
        if status & TP_STATUS_VLAN_VALID:
            return frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
    return frame


def listen(device, part):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((device, ETH_P_ALL))
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    # A busy machine lets this program wait, and nothing is to be lost meanwhile.
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    index = socket.if_nametoindex(device)
    raw.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b""))
    print("ready", flush=True)
    while True:
        frame, control, _, address = raw.recvmsg(70000, 256)
        frame = whole(frame, control)
        if address[2] != PACKET_OUTGOING and part in frame:
            print(frame.hex(), flush=True)


if sys.argv[1] == "send":
    send(sys.argv[2])
else:
    listen(sys.argv[2], bytes.fromhex(sys.argv[3]))
