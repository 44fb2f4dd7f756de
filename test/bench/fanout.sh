#!/bin/bash
# fanout.sh [PEER[:OPT=VALUE,...]]... [--sessions 500] [--rate 1000] [--secs 8]
#
# What broadcasts cost a hub with many sessions: one session sends --rate of them a second
# (60 bytes, each in a write of its own), all others get them. For each peer (default:
# softether vpn): frames delivered a second, and the server's CPU microseconds for each;
# last the ratios to the first peer. Peers as for scale.sh.
set -u
BENCH_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
. "$BENCH_DIR/topology.sh"; . "$BENCH_DIR/lib.sh"; . "$BENCH_DIR/many.sh"
SESSIONS=500 RATE=1000 SECS=8 PEERS=() TOPO=hub TOPOS=hub REP=1
while [ $# -gt 0 ]; do
	case "$1" in
	--sessions) SESSIONS=$2; shift ;;
	--rate) RATE=$2; shift ;;
	--secs) SECS=$2; shift ;;
	-*) sed -n '2,7p' "$0"; exit 2 ;;
	*) PEERS+=("$1") ;;
	esac; shift
done
[ ${#PEERS[@]} -gt 0 ] || PEERS=(softether vpn)
[ "$SESSIONS" -ge 2 ] && [ "$RATE" -ge 1 ] && [ "$SECS" -ge 1 ] && [ "$SECS" -le 15 ] || { echo "--sessions at least 2, --secs 1 to 15"; exit 2; }
many_open fanout
measure_peer() {
	local i a b sent delivered seconds
	spawn tool "$NS_C1" python3 "$BENCH_DIR/fanout.py" "$NET1_SRV" "${SE_PORT:-5555}" BENCH anon "$SESSIONS" "$SECS" "$RATE" $MANY_SOURCES "$RUN/go"
	for ((i = 0; i < 900; i++)); do grep -qs ready "$SPAWN_LOG" && break; sleep 0.1; done
	grep -qs ready "$SPAWN_LOG" || { log "$PEER_LABEL: $(tail -1 "$SPAWN_LOG")"; return 1; }
	sleep 1; a=$(ticks_of server); : >"$RUN/go"
	for ((i = 0; i < SECS * 10 + 300; i++)); do grep -qs delivered "$SPAWN_LOG" && break; sleep 0.1; done
	b=$(ticks_of server)
	read -r sent delivered seconds < <(sed -n 's/[^0-9. ]//g; /^ *[0-9]/p' <(grep delivered "$SPAWN_LOG"))
	[ "${delivered:-0}" -gt 0 ] || { log "$PEER_LABEL: nothing was delivered: $(tail -3 "$SPAWN_LOG")"; return 1; }
	emit fanout sent_per_s "$(awk "BEGIN{print $sent/$seconds}")"
	emit fanout delivered_per_s "$(awk "BEGIN{print $delivered/$seconds}")"
	emit fanout cpu_us_per_frame "$(awk "BEGIN{print ($b-$a)*1000000/$HZ/$delivered}")"
}

many_measure measure_peer "$SESSIONS sessions, $RATE broadcasts a second for $SECS s"
echo "date: $(date -u +%FT%TZ)   sessions: $SESSIONS   broadcasts: $RATE a second of 60 bytes"
python3 "$BENCH_DIR/report.py" "$RESULTS"
