# Shared by the scripts here; sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# One target directory for every checkout of a user, so that a second clone builds in seconds.
use_target_dir() {
  : "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/onrush/target}"
  export CARGO_TARGET_DIR
  mkdir -p "$CARGO_TARGET_DIR"
  bin_dir=$CARGO_TARGET_DIR/debug
}

# Installs Debian packages that are missing. Arguments: COMMAND=PACKAGE…
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null 2>&1 || die "please install: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || die "please install as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
    "apt-get update -qq && apt-get install -y -qq --no-install-recommends ${missing[*]} libc6-dev" >/dev/null
}

need_rust() {
  command -v cargo >/dev/null 2>&1 && return 0
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  command -v cargo >/dev/null 2>&1 ||
    die "Rust is missing: install rustup (https://rustup.rs), then run this again"
}

# The home of the newest JDK that is at least of release $1; $2 names one that is to be taken.
find_java() {
  local home best= newest=0 release
  for home in ${2:-"$(dirname "$(dirname "$(readlink -f "$(command -v javac || true)")")")" /usr/lib/jvm/*}; do
    [ -x "$home/bin/javac" ] || continue
    release=$("$home/bin/javac" -version 2>&1 | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    if [ "$release" -gt "$newest" ]; then best=$home newest=$release; fi
  done
  [ "$newest" -ge "$1" ] && printf '%s\n' "$best"
}
