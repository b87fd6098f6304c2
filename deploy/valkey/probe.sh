#!/bin/sh
# Exit status 0 if the Valkey server in this container is as asked.
#
# Usage: probe.sh alive    it answers, be it that it is still loading its data
#        probe.sh ready    it has loaded its data and has the Search module
set -eu
port=${VALKEY_PORT:-6379}
REDISCLI_AUTH=$(cat "${VALKEY_SECRETS:-/run/secrets}/valkey_password")
VALKEYCLI_AUTH=$REDISCLI_AUTH
export REDISCLI_AUTH VALKEYCLI_AUTH

ask() {
  valkey-cli -h 127.0.0.1 -p "$port" --user memrouter --no-auth-warning "$@" 2>&1
}

case "$1" in
  alive) ask PING | grep -q -e PONG -e LOADING ;;
  ready) ask PING | grep -q PONG && ask MODULE LIST | grep -q -w search ;;
  *) echo "usage: probe.sh alive | ready" >&2; exit 2 ;;
esac
