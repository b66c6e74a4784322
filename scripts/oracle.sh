#!/usr/bin/env bash
# The differential suite against Gatling itself.
#   scripts/oracle.sh check [CASE…]    compare Onrush with the recordings (no JVM)
#   scripts/oracle.sh record [CASE…]   run cases on Gatling and write the recordings beside them
#   scripts/oracle.sh host OUT FILE…   bundle simulations into OUT for scripts/bench.sh; prints the
#                                      homes of the JDK and of Gatling, a line each
# Recording needs a JDK of 24 or later (ORACLE_JAVA names its home), Maven, Node and npm. Gatling is
# installed once, under $ORACLE_HOME; after that nothing is downloaded.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
runner=$root/tests/oracle/gatling

# Installs Gatling and compiles the recorder, unless that has been done for these files.
install() {
  home=${ORACLE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/onrush/gatling}
  local state
  state=$(cat "$runner"/* | cksum)
  [ "$(cat "$home/state" 2>/dev/null)" = "$state" ] && return
  command -v mvn >/dev/null && command -v npm >/dev/null || die "needs mvn and npm"
  say "installing Gatling in $home"
  rm -rf "$home"; mkdir -p "$home/patched" "$home/classes"
  cp "$runner"/{pom.xml,package.json,bundle.mjs} "$home"; cp "$runner/logback.xml" "$home/classes"
  (
    cd "$home"
    mvn -q -B dependency:build-classpath -Dmdep.outputFile=class-path >/dev/null
    # Class paths hold jars; a POM-only artifact of theirs does not belong there.
    tr : '\n' <class-path | grep '\.jar$' | paste -sd: >jars
    npm install --silent --no-audit --no-fund
    "$java_home/bin/java" -cp "$(cat jars)" "$runner/Patch.java" patched
    "$java_home/bin/javac" -proc:none -nowarn -cp "$(cat jars)" -d classes "$runner/Recorder.java"
  )
  printf '%s' "$state" >"$home/state"
}

need_host() {
  java_home=$(find_java 24 "${ORACLE_JAVA:-}") ||
    die "needs a JDK of 24 or later (the recorder patches classes with java.lang.classfile): name its home in ORACLE_JAVA"
  install
}

host() {
  need_host
  node "$home/bundle.mjs" "$@"
  printf '%s\n' "$java_home" "$home"
}

record() {
  need_host
  local work cases=()
  work=$(mktemp -d); trap "rm -rf '$work'" EXIT
  for name in "${@:-}"; do cases+=(tests/oracle/cases/*"$name"*.gatling.js); done
  node "$home/bundle.mjs" "$work" "${cases[@]}"
  "$bin_dir/onrush-oracle" record "$work" "$@" -- nice "$java_home/bin/java" -Xmx2G \
    --add-opens=java.base/java.lang=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \
    --sun-misc-unsafe-memory-access=allow -Dio.netty.eventLoopThreads=1 -Dgatling.http.warmUpUrl= -Dgatling.data.enableAnalytics=false \
    -Dpolyglot.engine.WarnInterpreterOnly=false -Dpolyglot.engine.WarnVirtualThreadSupport=false \
    -cp "$home/patched:$home/classes:$root/tests/oracle/cases/resources:$(cat "$home/jars")" Recorder
}

use_target_dir; bin_dir=${ORACLE_BIN:-$bin_dir}
command=${1:-check}; [ $# -eq 0 ] || shift
[ "$command" = host ] && { host "$@"; exit; }
[ -n "${ORACLE_BUILT:-}" ] || { need_rust; cargo build --workspace --bins --locked; }
case $command in
  check) exec "$bin_dir/onrush-oracle" check "$@" ;;
  record) record "$@" ;;
  *) die "check, record or host" ;;
esac
