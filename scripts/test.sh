#!/usr/bin/env bash
# Runs all tests: formatting, lints, unit tests, tests with real processes. `test.sh fix` formats
# and applies clippy's own fixes instead. Arguments after `--` go to the test runner.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
need cc=gcc node=nodejs npm=npm faketime=faketime
# The tests of the packages say so where they cannot be run.
[ "$(id -u)" -ne 0 ] || (need dpkg-shlibdeps=dpkg-dev systemd-sysusers=systemd umoci=umoci) || true
need_rust
use_target_dir

if [ "${1:-}" = fix ]; then
  cargo fmt --all
  exec cargo clippy --workspace --all-targets --locked --fix --allow-dirty --allow-staged
fi
[ "${1:-}" = -- ] && shift

say "== format";  cargo fmt --all --check
say "== lints";   cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
say "== build";   cargo build --workspace --bins --locked
say "== tests";   cargo test --workspace --locked --no-fail-fast -- "$@"
