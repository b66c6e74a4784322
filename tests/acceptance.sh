#!/usr/bin/env bash
# The promises at full size, with figures: exactness, master-loss, restart.
#   acceptance.sh                                  all three, as the release notes quote them
#   acceptance.sh master-loss --seed 7 --runs 10   one of them
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
cd "$root"
need cc=gcc
need_rust
use_target_dir
cargo build --workspace --bins --locked
if [ $# -gt 0 ]; then exec "$bin_dir/onrush-acceptance" "$@"; fi
for what in exactness restart master-loss; do "$bin_dir/onrush-acceptance" "$what"; done
