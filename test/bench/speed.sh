#!/bin/bash
# speed.sh [--rows LIST] [--peers LIST] [options of run.sh: --reps N --secs S --keep-logs ...]
#
# Kinds of session beside SoftEther, row by row: in each row SoftEther and the peers
# (default: vpn; also vpn-client, vpn-server) run alternately with the same options, and
# a summary gives throughput and CPU seconds per GB as ratios to SoftEther in that row.
# Rows (default: all): plain, connections, half, compression, udp, cascade.
set -u
BENCH_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROWS=plain,connections,half,compression,udp,cascade OURS=vpn REST=()
while [ $# -gt 0 ]; do
	case "$1" in
	--rows)  ROWS=$2; shift ;;
	--peers) OURS=$2; shift ;;
	--keep-logs) REST+=("$1") ;;
	--*)     REST+=("$1" "$2"); shift ;;
	*)       sed -n '2,8p' "$0"; exit 2 ;;
	esac
	shift
done
OUT=$(mktemp -d "${TMPDIR:-/tmp}/vpnspeed.XXXXXX")
trap 'rm -rf "$OUT"' EXIT
trap 'exit 130' INT TERM

# row NAME OPTIONS TESTS [FURTHER PEER...]
row() {
	local name=$1 options=$2 tests=$3 ours peers; shift 3
	peers=("softether${options:+:$options}")
	for ours in ${OURS//,/ }; do peers+=("$ours${options:+:$options}"); done
	echo "# $name" >&2
	bash "$BENCH_DIR/run.sh" "${peers[@]}" "$@" --tests "$tests" --json "$OUT/$name.json" ${REST[@]+"${REST[@]}"}
}
for name in ${ROWS//,/ }; do
	case "$name" in
	plain)       row plain "" tcp1,tcp4,tcp4r ;;
	connections) row connections tcp=8 tcp1,tcp4,tcp4r,tcp16 ;;
	half)        row half tcp=2,half=yes tcp1,tcp4,tcp4r,tcp4b ;;
	compression) row compression compress=yes tcp1c,tcp4c,tcp4cr ;;
	# beside our own TCP: UDP is to be no slower than half of it
	udp)         row udp udp=yes tcp1,tcp4,tcp4r vpn:udp=no ;;
	cascade)     row cascade "" tcp1,tcp4,tcp4r --topology cascade ;;
	*)           echo "no row $name"; exit 2 ;;
	esac || exit 1
done
python3 "$BENCH_DIR/speed.py" "$OUT" "$ROWS"
