#!/usr/bin/env bash
# From a fresh clone to a report: builds, starts a small target and three identical nodes on
# loopback, runs the example simulation on them, and leaves the cluster running to play with.
#   quickstart.sh          start (an earlier quickstart cluster is ended first)
#   quickstart.sh --stop   end everything that it started, and remove its data
# Options: --dir DIR (where the cluster lives), --port PORT (the first of the ports that it takes,
# up to PORT + 40), --seconds N (how long the example runs).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
state=$root/.onrush/quickstart
port=7440
seconds=20
stop=
while [ $# -gt 0 ]; do
  case "$1" in
    --stop) stop=1 ;;
    --dir | --port | --seconds)
      [ -n "${2:-}" ] || die "$1 needs a value"
      case "$1" in --dir) state=$(realpath -m "$2") ;; --port) port=$2 ;; *) seconds=$2 ;; esac
      shift
      ;;
    *) die "unknown argument '$1'; it takes --stop, --dir DIR, --port PORT and --seconds N" ;;
  esac
  shift
done
case "$port$seconds" in *[!0-9]*) die "--port and --seconds take numbers" ;; esac
[ "$port" -ge 1 ] && [ "$port" -le 65495 ] || die "--port takes 1 to 65495, not $port"
[ "$seconds" -ge 1 ] || die "--seconds takes 1 or more"
nodes=(alpha beta gamma)
api=("$port" $((port + 10)) $((port + 20)))
p2p=($((port + 1)) $((port + 11)) $((port + 21)))
target_port=$((port + 40))
# Only a folder that this script has made is ever removed.
mark=$state/.quickstart
if [ -d "$state" ] && [ ! -f "$mark" ] && [ -n "$(ls -A "$state")" ]; then
  die "--dir $state is not empty and was not made by this script"
fi

# Ends the processes of an earlier run, by the pids that it wrote down.
stop_all() {
  local file pid
  for file in "$state"/*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    # Only if the pid is still the program that we started.
    if [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' < "/proc/$pid/cmdline" | grep -q "onrush"; then
      kill "$pid" 2>/dev/null || true
      for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
      [ -d "/proc/$pid" ] && kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$file"
  done
  [ ! -f "$mark" ] || rm -rf "$state"
}

if [ -n "$stop" ]; then
  stop_all
  say "stopped"
  exit 0
fi

need cc=gcc
need_rust
use_target_dir
say "== building (about ten minutes the first time on two cores)"
[ -n "${ONRUSH_SKIP_BUILD:-}" ] || cargo build --workspace --bins --locked
started=$(date +%s)
onrush=$bin_dir/onrush

stop_all
mkdir -p "$state"
: > "$mark"
(umask 077; "$onrush" secret new > "$state/secret")

start() { # NAME COMMAND… : in the background, output to NAME.log, pid to NAME.pid
  local name=$1; shift
  "$@" > "$state/$name.log" 2>&1 < /dev/null &
  echo $! > "$state/$name.pid"
}

# The name of a process that we started and that runs no more.
first_ended() {
  local file
  for file in "$state"/*.pid; do
    [ -d "/proc/$(cat "$file")" ] || { basename "$file" .pid; return 0; }
  done
  return 1
}

# Waits until a command succeeds, and says what it waits for. Arguments: SECONDS WHAT COMMAND…
await() {
  local limit=$1 what=$2 deadline; shift 2
  deadline=$(($(date +%s) + limit))
  until "$@" >/dev/null 2>&1; do
    if ended=$(first_ended); then
      say "$ended has ended; the last lines of its log:"
      tail -n 8 "$state/$ended.log" >&2
      exit 1
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
      say "gave up waiting for $what after $limit s; the last lines of the logs:"
      tail -n 5 "$state"/*.log >&2
      exit 1
    fi
    sleep 0.2
  done
}

say "== starting the target and three nodes"
start target "$bin_dir/onrush-target" --listen "127.0.0.1:$target_port"
contacts=127.0.0.1:${p2p[0]},127.0.0.1:${p2p[1]},127.0.0.1:${p2p[2]}
for i in 0 1 2; do
  start "${nodes[i]}" "$root/scripts/node.sh" --name "${nodes[i]}" --contact-points "$contacts" --expect 3 \
    --data-dir "$state/${nodes[i]}" --listen "127.0.0.1:${p2p[i]}" --api "127.0.0.1:${api[i]}" \
    --cluster-secret-file "$state/secret"
done

status() { "$onrush" --address "http://127.0.0.1:$1" raft status --stale --json; }
# Three voters, a master, and open for writes.
formed() {
  local seen
  seen=$(status "$1") && [ "$(grep -c '"voter": *true' <<<"$seen")" -ge 3 ] &&
    ! grep -Eq '"leader": *null|"health": *"forming"' <<<"$seen"
}
for at in "${api[@]}"; do await 60 "the node on port $at to see three voters and a master" formed "$at"; done

# A node that is not the master takes the job: any node does.
for at in "${api[@]}"; do
  status "$at" | grep -q '^  "state": "leader"' || other=$at
done
address=http://127.0.0.1:$other
say "== the cluster has formed; submitting to $address, which is not the master"
# 2 and 4 are verdicts, failed and inconclusive: the report says why, and the cluster is there.
verdict=0
"$onrush" --address "$address" job submit tests/simulations/shop.gatling.js \
  target="http://127.0.0.1:$target_port" rate=100 duration="$seconds" --title quickstart --follow || verdict=$?
case $verdict in 0 | 2 | 4) ;; *) exit "$verdict" ;; esac
"$onrush" --address "$address" job report @last -O "$state/report.html"
echo
"$onrush" --address "$address" raft status
echo
echo "report    file://$state/report.html"
echo "cluster   http://127.0.0.1:${api[0]}  http://127.0.0.1:${api[1]}  http://127.0.0.1:${api[2]}"
echo "try       $onrush --address $address job list"
[ "$state" = "$root/.onrush/quickstart" ] && where= || where=" --dir $state"
echo "end it    ./scripts/quickstart.sh --stop$where"
say "== $(($(date +%s) - started)) s from the end of the build to here"
exit "$verdict"
