# What scale.sh and fanout.sh share: many light sessions on one server after the other.
# The caller has set PEERS, TOPO, TOPOS and REP.

# many_open: checks the programs, takes a folder and sees to it that nothing is left behind
many_open() { # PREFIX
	[ "$(id -u)" = 0 ] || { echo "this report needs root (network namespaces)"; exit 1; }
	MISSING=
	need ip iproute2; need python3 python3; need flock util-linux; need pgrep procps
	local spec m
	for spec in "${PEERS[@]}"; do m=$(MISSING= PEER_OPTS=; . "$(peer_file "${spec%%:*}")"; peer_needs; echo "$MISSING"); MISSING="$MISSING $m"; done
	[ -z "${MISSING// /}" ] || { echo "missing programs; on Debian: apt-get install $MISSING"; exit 1; }
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/vpn$1.XXXXXX") RESULTS=$WORK/results.jsonl PREFIX=v${1:0:1}$$
	BENCH_LOCK=${BENCH_LOCK:-${TMPDIR:-/tmp}/bench.lock}
	NAT_GW=10.80.0.254 SPAWN_N=0 RUN=$WORK/none; mkdir -p "$RUN"; : >"$RESULTS"
	trap many_close EXIT; trap 'exit 130' INT TERM
	HZ=$(getconf CLK_TCK)
	ulimit -n 65536 2>/dev/null
}
many_close() { trap - EXIT INT TERM; kill_spawned; topo_down $PREFIX; rm -rf "$WORK"; }

# many_addresses: SoftEther's DoS defence resets more than about 16 quick connections from one
MANY_SOURCES=10.71.1.3-200
many_addresses() {
	local i
	for ((i = 3; i <= 200; i++)); do echo "addr add 10.71.1.$i/24 dev u1"; done | ip -force -n "$NS_C1" -batch - 2>/dev/null
}

# many_measure MEASURE TEXT: calls MEASURE for each peer, with its server up and the anonymous user made
many_measure() {
	local spec
	for spec in "${PEERS[@]}"; do
		PEER=${spec%%:*} PEER_OPTS=$([ "${spec#*:}" = "$spec" ] || echo "${spec#*:}") PEER_LABEL=$spec
		. "$(peer_file "$PEER")"
		log "$spec: $2"
		RUN=$WORK/$PEER-$RANDOM; mkdir -p "$RUN"; : >"$RUN/pids"
		if lock && topo_up $PREFIX && start_server hub && scale_prepare; then many_addresses; "$1"
		else log "$PEER_LABEL failed"; fi
		kill_spawned; topo_down $PREFIX; unlock
	done
	[ -s "$RESULTS" ] || { log "nothing was measured"; exit 1; }
}
