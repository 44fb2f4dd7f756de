# vpn-client: this project's clients on SoftEther's server. Options of the client as in vpn.sh; of the server
# dir= cipher= log= nat= as in softether.sh.
. "$BENCH_DIR/peers/vpn.sh"
. "$BENCH_DIR/peers/softether.sh"
IF_CLIENT=tap0

peer_needs() { vpn_needs; need vpnserver softether-vpnserver; need vpncmd softether-vpncmd; }
peer_topologies() {
	local names; names=$(printf '%s\n' ${PEER_OPTS//,/ } | grep -Ev '^(dir|cipher|log|nat)=' | tr '\n' ,)
	PEER_OPTS=$names vpn_check && echo hub bridge nat
}
prepare_client() { :; }
connect_client() { vpn_connect_client "$1"; }
after_connect() { vpn_after_connect; }
