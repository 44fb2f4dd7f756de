"""Asks a web server again and again by one connection: a line for each answer, until the connection ends."""
import socket
import sys
import time

connection = socket.create_connection((sys.argv[1], 80), timeout=20)
while True:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: inet\r\n\r\n")
    answer = connection.recv(65536)
    if not answer:
        sys.exit("closed")
    print(len(answer), flush=True)
    time.sleep(0.05)
