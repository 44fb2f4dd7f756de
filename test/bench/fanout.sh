#!/bin/bash
# fanout.sh [PEER[:OPT=VALUE,...]]... [--sessions 500] [--rate 1000] [--secs 8]
#
# What broadcasts cost a hub with many sessions: one session sends --rate of them a second
# (512 bytes, each in a write of its own), all others get them. For each peer (default:
# softether vpn): frames delivered a second, and the server's CPU microseconds for each;
# last the ratios to the first peer. Peers as for scale.sh.
set -u
BENCH_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
. "$BENCH_DIR/topology.sh"; . "$BENCH_DIR/lib.sh"
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
[ "$(id -u)" = 0 ] || { echo "fanout.sh needs root (network namespaces)"; exit 1; }
MISSING=
need ip iproute2; need python3 python3; need flock util-linux; need pgrep procps
for spec in "${PEERS[@]}"; do m=$(MISSING= PEER_OPTS=; . "$(peer_file "${spec%%:*}")"; peer_needs; echo "$MISSING"); MISSING="$MISSING $m"; done
[ -z "${MISSING// /}" ] || { echo "missing programs; on Debian: apt-get install $MISSING"; exit 1; }

WORK=$(mktemp -d "${TMPDIR:-/tmp}/vpnfanout.XXXXXX") RESULTS=$WORK/results.jsonl PREFIX=vf$$
BENCH_LOCK=${BENCH_LOCK:-${TMPDIR:-/tmp}/bench.lock}
NAT_GW=10.80.0.254 SPAWN_N=0 RUN=$WORK/none; mkdir -p "$RUN"; : >"$RESULTS"
cleanup() { trap - EXIT INT TERM; kill_spawned; topo_down $PREFIX; rm -rf "$WORK"; }
trap cleanup EXIT; trap 'exit 130' INT TERM
HZ=$(getconf CLK_TCK)
ulimit -n 65536 2>/dev/null

measure_peer() {
	lock || return 1
	topo_up $PREFIX && start_server hub && scale_prepare || { log "$PEER_LABEL failed"; return 1; }
	local i a b sent delivered seconds
	for ((i = 3; i <= 200; i++)); do echo "addr add 10.71.1.$i/24 dev u1"; done | ip -force -n "$NS_C1" -batch - 2>/dev/null
	spawn tool "$NS_C1" python3 "$BENCH_DIR/fanout.py" "$NET1_SRV" "${SE_PORT:-5555}" BENCH anon "$SESSIONS" "$SECS" "$RATE" 10.71.1.3-200 "$RUN/go"
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

for spec in "${PEERS[@]}"; do
	PEER=${spec%%:*} PEER_OPTS=$([ "${spec#*:}" = "$spec" ] || echo "${spec#*:}") PEER_LABEL=$spec
	. "$(peer_file "$PEER")"
	log "$spec: $SESSIONS sessions, $RATE broadcasts a second for $SECS s"
	RUN=$WORK/$PEER-$RANDOM; mkdir -p "$RUN"; : >"$RUN/pids"
	measure_peer
	kill_spawned; topo_down $PREFIX; unlock
done
[ -s "$RESULTS" ] || { log "nothing was measured"; exit 1; }
echo "date: $(date -u +%FT%TZ)   sessions: $SESSIONS   broadcasts: $RATE a second of 512 bytes"
python3 "$BENCH_DIR/report.py" "$RESULTS"
