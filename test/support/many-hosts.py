"""Makes the hosts of perfdhcp real: many-hosts.py DEVICE ADDRESS.

perfdhcp is a relay with any number of clients behind it: all its messages come from one MAC. A hub has hosts, each with
a MAC of its own. So this takes its datagrams at ADDRESS, port 67, puts each on DEVICE in a frame from the client it
speaks of, and gives it back what is answered to any of them.
"""

import select
import socket
import struct
import sys

ETH_P_IP = 0x0800
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
SERVER, CLIENT = 67, 68
CHADDR = slice(28, 34)
CIADDR = slice(12, 16)
GIADDR = slice(24, 28)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame_of(message):
    """From the client itself, broadcast."""
    plain = message[:24] + bytes(4) + message[28:]
    source = message[CIADDR]
    udp = struct.pack("!4H", CLIENT, SERVER, 8 + len(plain), 0) + plain
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, b"\xff" * 4)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\xff" * 6 + message[CHADDR] + struct.pack("!H", ETH_P_IP) + head + udp


def reply_in(frame):
    """The message to a client in a frame, if that is what it is."""
    if len(frame) < 14 + 20 + 8 + 240 or frame[23] != 17:
        return None
    udp = 14 + (frame[14] & 15) * 4
    ports = struct.unpack_from("!HH", frame, udp)
    if ports != (SERVER, CLIENT):
        return None
    length = struct.unpack_from("!H", frame, udp + 4)[0]
    return frame[udp + 8 : udp + length]


device, address = sys.argv[1:3]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
raw.bind((device, ETH_P_IP))
# Answers go to the MACs of the clients, which the device does not have.
membership = struct.pack("iHH8s", socket.if_nametoindex(device), PACKET_MR_PROMISC, 0, b"")
raw.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
perfdhcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
perfdhcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
perfdhcp.bind((address, SERVER))
print("ready", flush=True)

relay = None
waiting = {}
while True:
    for ready in select.select([raw, perfdhcp], [], [])[0]:
        if ready is perfdhcp:
            message, relay = perfdhcp.recvfrom(2048)
            waiting[message[4:8]] = message[GIADDR]
            raw.send(frame_of(message))
            continue
        message = reply_in(raw.recv(2048))
        # perfdhcp knows its own answers by the relay's address.
        giaddr = None if message is None else waiting.pop(message[4:8], None)
        if giaddr is not None:
            perfdhcp.sendto(message[:24] + giaddr + message[28:], relay)
