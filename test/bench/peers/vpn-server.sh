# vpn-server: SoftEther's clients on this project's server. Options of the clients as in softether.sh
# (dir= tcp= half= qos= compress= encrypt=), as far as the server grants them.
. "$BENCH_DIR/peers/softether.sh"
. "$BENCH_DIR/peers/vpn.sh"
IF_CLIENT=vpn_bench

peer_needs() { vpn_needs; need vpnclient softether-vpnclient; need vpncmd softether-vpncmd; }
peer_topologies() { # what the server does not grant would be measured under a wrong name
	local names; names=$(printf '%s\n' ${PEER_OPTS//,/ } | grep -Ev '^(dir|encrypt)=' | tr '\n' ,)
	PEER_OPTS=$names vpn_check && [ "$(opt encrypt yes)" = yes ] && echo hub
}
connect_client() { echo "AccountConnect a" | se_cmd "$(ns_of "$1")" localhost /CLIENT; }
after_connect() { se_after_connect; }
