#!/usr/bin/env bash
# Clusters of many nodes on this machine, measured: until every node answers alike, idle for a
# minute, and a job over all of them, the second time with the master killed.
#   scale.sh                     3, 9, 15 and 50 nodes
#   scale.sh --idle 20 9         nine nodes, idle for 20 s
#   scale.sh --form all --idle 0 50   however they come together: at once, one by one, restarted while
#                                forming, joining three, all killed and started again
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
cd "$root"
need cc=gcc ss=iproute2
need_rust
use_target_dir
cargo build --workspace --bins --locked --quiet
[ $# -gt 0 ] || set -- --job 3 9 15 50
exec "$bin_dir/onrush-scale" "$@"
