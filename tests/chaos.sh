#!/usr/bin/env bash
# Breaks clusters on purpose, and checks all that they promise; --list has the faults.
#   chaos.sh --minutes 60 --seed 7               an hour of random faults; the seed repeats it
#   chaos.sh --runs 5 --fault kill-master        five runs with one fault
#   chaos.sh --acceptance kill-worker --runs 20  losses at full size, with figures; all: every case
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
cd "$root"
need cc=gcc ip=iproute2 nft=nftables unshare=util-linux faketime=faketime
need_rust
use_target_dir
cargo build --workspace --bins --locked --quiet
exec "$bin_dir/onrush-chaos" "$@"
