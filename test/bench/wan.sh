#!/bin/bash
# wan.sh [--delay MS] [--loss PERCENT] [--streams LIST] [PEER...] [further options of run.sh]
#
# What several TCP connections are worth on a long, lossy way: each PEER (default:
# softether vpn) with 1 and with 8 connections, through 50 ms round trip (25 ms each
# way) and 0.5 % loss each way between client and server. Prints run.sh's table and
# how many times as much 8 connections carry as 1. The mark: 4 times.
set -u
BENCH_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DELAY=25 LOSS=0.5 STREAMS=1,16 PEERS=() REST=() SECS=10 REPS=3
while [ $# -gt 0 ]; do
	case "$1" in
	--delay)   DELAY=$2; shift ;;
	--loss)    LOSS=$2; shift ;;
	--streams) STREAMS=$2; shift ;;
	--secs)    SECS=$2; shift ;;
	--reps)    REPS=$2; shift ;;
	--json)    JSON=$2; shift ;;
	--keep-logs) REST+=("$1") ;;
	--*)       REST+=("$1" "$2"); shift ;;
	*)         PEERS+=("$1") ;;
	esac
	shift
done
[ ${#PEERS[@]} -gt 0 ] || PEERS=(softether vpn)
both=() tests=()
for p in "${PEERS[@]}"; do
	# without QoS, or 1 connection would be 2
	opts=${p#"${p%%:*}"}; opts=${opts#:}; opts=${opts:+,$opts}
	both+=("${p%%:*}:tcp=1,qos=no$opts" "${p%%:*}:tcp=8,qos=no$opts")
done
for n in ${STREAMS//,/ }; do tests+=("tcp$n" "tcp${n}r"); done
OUT=${JSON:-$(mktemp)}
trap '[ -n "${JSON:-}" ] || rm -f "$OUT"' EXIT
bash "$BENCH_DIR/run.sh" "${both[@]}" --wan "$DELAY $LOSS" --tests "$(IFS=,; echo "${tests[*]}")" \
	--secs "$SECS" --reps "$REPS" --json "$OUT" ${REST[@]+"${REST[@]}"} || exit 1
python3 - "$OUT" <<'P'
import json
import sys

rate = {(r["peer"], r["test"]): r["median"] for r in json.load(open(sys.argv[1])) if r["metric"] == "mbit"}
print("\n## 8 connections against 1 (mark: 4 times)\n")
for peer, test in rate:
    eight = peer.replace(":tcp=1,", ":tcp=8,")
    if eight != peer and (eight, test) in rate:
        one, many = rate[peer, test], rate[eight, test]
        print("%-12s %-7s %7.1f -> %7.1f Mbit/s   x%.2f" % (peer.split(":")[0], test, one, many, many / one))
P
