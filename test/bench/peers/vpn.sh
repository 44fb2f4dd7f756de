# vpn: this project's server and clients, $VPN_BIN (default: dist/vpn of this checkout).
# Options: tcp=1..32 half=yes|no qos=yes|no compress=yes|no udp=yes|no, by default tcp=1 qos=yes and the rest no, as
# for SoftEther. Other values are refused, and a session that does not become what was asked for ends the peer, so
# that no figure is printed for something that was not measured.
# rules=N: an access list of N rules that none of the traffic meets. log=no: no packet log (by default that of TCP connects).
# lan=plain: the host of topology nic sends single frames, as that of SoftEther must; by default it sends what it likes.
# nat=user|kernel: what SecureNAT of topology nat works with.
# link=1..32: connections of the cascade of that topology, 8 by default as in both programs.
# vpn-client.sh and vpn-server.sh take one side from here and the other from softether.sh.
VPN_BIN=${VPN_BIN:-$(cd "$BENCH_DIR/../.." && pwd)/dist/vpn}
VPN_PORT=5555
IF_CLIENT=tap0 IF_SERVER=tap_bench

# vpn_options NAME=VALUE|VALUE...: which values each option may have; anything else ends the peer
vpn_options() {
	local given name value known allowed
	for given in ${PEER_OPTS//,/ }; do
		name=${given%%=*} value=${given#*=} allowed=
		for known in "$@"; do
			[ "${known%%=*}" = "$name" ] && allowed=${known#*=}
		done
		[ -n "$allowed" ] || { log "$PEER: no option $name (options: $*)"; return 1; }
		case "|$allowed|" in
		*"|$value|"*) ;;
		*) log "$PEER: $name=$value is not supported ($name=$allowed is)"; return 1 ;;
		esac
	done
}
vpn_needs() { need "$VPN_BIN" "(the program itself: npm run build)"; }

# vpn_start_far: the second server of topology cascade
vpn_start_far() {
	mkdir -p "$RUN/state-far"
	cat >"$RUN/far.toml" <<-C
	[server]
	listen = [$VPN_PORT]

	[hub.BENCH.user.u]
	password = "file:$RUN/pw"
	C
	spawn server "$NS_SRV2" "$VPN_BIN" server --config "$RUN/far.toml" --state-dir "$RUN/state-far"
	wait_listen "$NS_SRV2" tcp $VPN_PORT || { cat "$SPAWN_LOG" >&2; return 1; }
}
# vpn_wait_link: until the cascade has its connections
vpn_wait_link() {
	wait_tcp "$NS_SRV" $VPN_PORT "$(opt link 8)" $(($(opt link 8) + 12)) || {
		"$VPN_BIN" cascade list --state-dir "$RUN/state-srv" >&2; return 1; }
}

vpn_start_server() { # TOPOLOGY
	[ "$1" = nic ] && [ "$(opt lan offload)" = plain ] && plain_lan
	mkdir -p "$RUN/state-srv"
	(umask 077; echo pw >"$RUN/pw")
	[ "$1" = cascade ] && { vpn_start_far || return 1; }
	cat >"$RUN/config.toml" <<-C
	[server]
	listen = [$VPN_PORT]

	$(case "$1" in
		bridge) printf '[hub.BENCH.bridge]\ntap = "bench"\n' ;;
		nic) printf '[hub.BENCH.bridge]\ndevice = "d2"\n' ;;
		cascade) printf '[hub.BENCH.cascade.link]\nto = "%s:%s/BENCH"\nuser = "u"\npassword = "file:%s"\nconnections = %s\nudp = %s\n' \
			$LINK_SRV2 $VPN_PORT "$RUN/pw" "$(opt link 8)" "$([ "$(opt udp no)" = yes ] && echo true || echo false)" ;;
		nat) printf '[hub.BENCH.securenat]\naddress = "%s/24"\nnat = "%s"\n' $NAT_GW "$(opt nat user)" ;;
		l3) printf '[l3switch.bench.interface]\nBENCH = "%s/24"\nBENCH2 = "%s/24"\n[hub.BENCH2.user.u]\npassword = "file:%s"\n' \
			$L3_SW1 $L3_SW2 "$RUN/pw" ;;
	esac)

	$([ "$(opt log yes)" = no ] && printf '[hub.BENCH.log]\npacket = []\n')

	[hub.BENCH.user.u]
	password = "file:$RUN/pw"

	$(for ((rule = 1; rule <= $(opt rules 0); rule++)); do
		printf '[[hub.BENCH.access]]\naction = "drop"\nfrom = "198.51.100.%d/32"\nproto = "tcp"\nto_port = %d\n' $((rule % 250)) $((1000 + rule))
	done)

	[hub.BENCH.user.anon]
	anonymous = true
	policy = { no_broadcast_limiter = true }
	C
	spawn server "$NS_SRV" "$VPN_BIN" server --config "$RUN/config.toml" --state-dir "$RUN/state-srv"
	wait_listen "$NS_SRV" tcp $VPN_PORT || { cat "$SPAWN_LOG" >&2; return 1; }
	mark server_start_ms
	[ "$1" = cascade ] && { vpn_wait_link || return 1; }
	return 0
}
vpn_connect_client() { # N
	local name flags=()
	for name in half:half-duplex:no qos:qos:yes compress:compress:no udp:udp:no; do
		IFS=: read -r key flag default <<<"$name"
		[ "$(opt "$key" "$default")" = yes ] && flags+=("--$flag") || flags+=("--no-$flag")
	done
	(umask 077; echo pw >"$RUN/pw-c$1")
	spawn client "$(ns_of "$1")" "$VPN_BIN" client connect --state-dir "$RUN/state-c$1" \
		--server "$(srv_of "$1"):$VPN_PORT" --hub "$(hub_of "$1")" --user u --password-file "$RUN/pw-c$1" \
		--nic "$IF_CLIENT" --address none --insecure --connections "$(opt tcp 1)" "${flags[@]}"
}
# vpn_after_connect: until each client's session is what the options say
vpn_after_connect() {
	local c
	for c in $(clients); do
		wait_tcp "$(ns_of "$c")" $VPN_PORT "$(fewest_tcp)" $(($(fewest_tcp) + 10)) || return 1
		python3 "$BENCH_DIR/session.py" 25 "connections>=$(fewest_tcp)" "halfDuplex=$(opt half no)" "qos=$(opt qos yes)" \
			"compression=$(opt compress no)" "udp=$(opt udp no)" -- \
			"$VPN_BIN" client status --json --state-dir "$RUN/state-c$c" >"$RUN/status$c" || return 1
	done
	[ "$REP" = 1 ] && sed 's/^/[bench]   /' "$RUN/status1" >&2
	return 0
}
vpn_check() { vpn_options "tcp=$(seq -s '|' 32)" "half=yes|no" "qos=yes|no" "compress=yes|no" "udp=yes|no" "lan=offload|plain" "nat=user|kernel" "link=$(seq -s '|' 32)" \
	"rules=0|100|1000" "log=yes|no"; }

peer_needs() { vpn_needs; }
peer_topologies() { vpn_check && echo hub cascade l3 bridge nic nat; }
start_server() { vpn_start_server "$1"; }
connect_client() { vpn_connect_client "$1"; }
after_connect() { vpn_after_connect; }
scale_prepare() { :; }   # the configuration has the anonymous user from the start
