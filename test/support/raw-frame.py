"""Sends one frame into an interface: raw-frame.py DEVICE HEX."""

import socket
import sys

device, frame = sys.argv[1:]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
    sender.bind((device, 0))
    sender.send(bytes.fromhex(frame))
