#!/usr/bin/env python3
"""plain-link.py DEVICE: the interface puts complete single frames on its cable, as they would be on a wire.

What the kernel leaves to the hardware, checksums and segmentation, is done before (ethtool -K DEVICE tx off, without
ethtool).
"""
import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17

value = array.array("B", struct.pack("II", ETHTOOL_STXCSUM, 0))
request = struct.pack("16sP", sys.argv[1].encode(), value.buffer_info()[0])
fcntl.ioctl(socket.socket(), SIOCETHTOOL, request + bytes(16))
