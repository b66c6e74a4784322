#!/usr/bin/env bash
# Starts a node of the cluster: finds the onrush binary (ONRUSH_BIN, or the one that cargo built,
# or PATH), builds it where there is none, and becomes it. All arguments are those of `onrush node`:
#   node.sh --contact-points HOST:PORT[,HOST:PORT…] --expect 3 --data-dir DIR
#           [--name NAME] [--listen IP:PORT] [--api IP:PORT] [--cluster-secret-file FILE] …
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -z "${ONRUSH_BIN:-}" ]; then
  use_target_dir
  if [ -x "$bin_dir/onrush" ]; then
    ONRUSH_BIN=$bin_dir/onrush
  elif command -v onrush >/dev/null 2>&1; then
    ONRUSH_BIN=$(command -v onrush)
  else
    need cc=gcc
    need_rust
    say "building onrush (about ten minutes the first time on two cores)"
    (cd "$root" && cargo build --workspace --bins --locked >&2)
    ONRUSH_BIN=$bin_dir/onrush
  fi
fi
[ -x "$ONRUSH_BIN" ] || die "ONRUSH_BIN=$ONRUSH_BIN is not a program"
exec "$ONRUSH_BIN" node "$@"
