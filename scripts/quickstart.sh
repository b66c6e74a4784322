#!/usr/bin/env bash
# From a fresh clone to a report: builds, starts a small target and three identical nodes on
# loopback, runs the example simulation on them, and leaves the cluster running to play with.
#   quickstart.sh          start (an earlier quickstart cluster is ended first)
#   quickstart.sh --stop   end everything that it started, and remove its data
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
state=$root/.onrush/quickstart
nodes=(alpha beta gamma)
p2p=(7441 7451 7461)
api=(7440 7450 7460)
target_port=7480

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
  rm -rf "$state"
}

case "${1:-}" in
  --stop) stop_all; say "stopped"; exit 0 ;;
  "") ;;
  *) die "unknown argument '$1'; it takes --stop or nothing" ;;
esac

need cc=gcc
need_rust
use_target_dir
say "== building (about ten minutes the first time on two cores)"
[ -n "${ONRUSH_SKIP_BUILD:-}" ] || cargo build --workspace --bins --locked
started=$(date +%s)
onrush=$bin_dir/onrush

stop_all
mkdir -p "$state"
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
formed() { [ "$(status "$1" | grep -c '"voter": *true')" -ge 3 ] && ! status "$1" | grep -q '"leader": *null'; }
for port in "${api[@]}"; do await 60 "the node on port $port to see three voters and a master" formed "$port"; done

# A node that is not the master takes the job: any node does.
for port in "${api[@]}"; do
  status "$port" | grep -q '^  "state": "leader"' || other=$port
done
address=http://127.0.0.1:$other
say "== the cluster has formed; submitting to $address, which is not the master"
"$onrush" --address "$address" job submit tests/simulations/shop.gatling.js \
  target="http://127.0.0.1:$target_port" rate=100 duration=20 --title quickstart --follow
"$onrush" --address "$address" job report @last -O "$state/report.html"
echo
"$onrush" --address "$address" raft status
echo
echo "report    file://$state/report.html"
echo "cluster   http://127.0.0.1:${api[0]}  http://127.0.0.1:${api[1]}  http://127.0.0.1:${api[2]}"
echo "try       $onrush --address $address job list"
echo "end it    ./scripts/quickstart.sh --stop"
say "== $(($(date +%s) - started)) s from the end of the build to here"
