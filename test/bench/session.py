#!/usr/bin/env python3
"""session.py SECONDS CLAIM... -- COMMAND...: waits until the session in the JSON that COMMAND prints is as the
claims say, and prints it in one line. A claim is NAME=yes|no or NAME>=NUMBER. Fails after SECONDS."""
import json
import subprocess
import sys
import time

seconds, rest = float(sys.argv[1]), sys.argv[2:]
claims, command = rest[:rest.index("--")], rest[rest.index("--") + 1:]


def holds(claim, session):
    name, value = claim.split(">=" if ">=" in claim else "=")
    if ">=" in claim:
        return session.get(name, 0) >= int(value)
    # What is on says so by true, or by the name of its kind.
    return (session.get(name) not in (False, None, "none", "off", "waiting")) == (value == "yes")


end = time.monotonic() + seconds
while True:
    out = subprocess.run(command, capture_output=True, text=True, timeout=10)
    found = json.loads(out.stdout) if out.stdout.startswith(("[", "{")) else {}
    session = ((found[0] if found else {}) if isinstance(found, list) else found).get("session", {})
    wrong = [claim for claim in claims if not holds(claim, session)]
    if not wrong:
        shown = ("connections", "maxConnections", "halfDuplex", "qos", "compression", "udp", "cipher")
        print(" ".join("%s=%s" % (name, session.get(name)) for name in shown))
        break
    if time.monotonic() > end:
        sys.exit("not so after %g s: %s in %s%s" % (seconds, ", ".join(wrong), session, out.stderr))
    time.sleep(0.2)
