#!/usr/bin/env bash
# What continuous integration runs: the README's test command and nothing else.
set -euo pipefail
exec "$(dirname "$0")/test.sh"
