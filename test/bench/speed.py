#!/usr/bin/env python3
"""speed.py FOLDER ROWS: the summary of speed.sh from the FOLDER/ROW.json of run.sh, as ratios to SoftEther."""
import json
import os
import sys

# Throughput to reach, as a multiple of SoftEther's, and the share of its CPU seconds per GB not to exceed.
MARKS = {"connections": 2, "half": 2, "compression": 3, "udp": 1.5, "cascade": 2}
CPU_MARK = 0.5
CPU_MARKS = {"cascade": 0.45}
CPU = "cpu_vpn_s_per_GB"

table = [["row", "test", "peer", "Mbit/s", "x SoftEther", "mark", "CPU s/GB", "x SoftEther", "mark"]]
for row in sys.argv[2].split(","):
    path = os.path.join(sys.argv[1], row + ".json")
    if not os.path.exists(path):
        continue
    found = {}
    for r in json.load(open(path)):
        found.setdefault(r["test"], {}).setdefault(r["peer"], {})[r["metric"]] = r["median"]
    for test, peers in found.items():
        base = next((peers[p] for p in peers if p.split(":")[0] == "softether"), {})
        for peer, got in peers.items():
            if "mbit" not in got:
                continue
            cells = [row, test, peer, "%.0f" % got["mbit"]]
            if got is base or not base.get("mbit") or peer.endswith("udp=no"):
                cells += ["", "", "%.2f" % got.get(CPU, 0), "", ""]
            else:
                rate, cost = got["mbit"] / base["mbit"], got[CPU] / base[CPU]
                # The marks are those of our server with our clients; one of them bears half of the other's burden.
                both = peer.split(":")[0] == "vpn"
                mark = MARKS.get(row) if both else None
                bound = CPU_MARKS.get(row, CPU_MARK)
                cells += ["%.2f" % rate, "" if mark is None else "%g %s" % (mark, "yes" if rate >= mark else "NO"),
                          "%.2f" % got[CPU], "%.2f" % cost,
                          "%g %s" % (bound, "yes" if cost <= bound else "NO") if both else ""]
            table.append(cells)
        own = next((peers[p]["mbit"] for p in peers if p == "vpn:udp=yes" and "mbit" in peers[p]), None)
        tcp = next((peers[p]["mbit"] for p in peers if p == "vpn:udp=no" and "mbit" in peers[p]), None)
        if own and tcp:
            table.append([row, test, "vpn, UDP to TCP", "", "%.2f" % (own / tcp), "0.5 %s" % ("yes" if own >= tcp / 2 else "NO"), "", "", ""])
width = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
print("\n## kinds of session, ratios to SoftEther in the same row\n")
for i, r in enumerate(table):
    print("| " + " | ".join(c.ljust(w) for c, w in zip(r, width)) + " |")
    if i == 0:
        print("|" + "|".join("-" * (w + 2) for w in width) + "|")
