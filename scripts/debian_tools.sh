#!/bin/sh
# Puts two of Debian's programs where the tests find them: Chromium is installed, Prometheus is only unpacked into
# DIRECTORY (installing it would start a service). Nothing is done where they are there already.
#
# Usage: scripts/debian_tools.sh DIRECTORY
set -eu

directory=$1
wanted=""
command -v chromium >/dev/null || wanted="chromium"
if ! command -v promtool >/dev/null && [ ! -x "$directory/usr/bin/promtool" ]; then
  wanted="$wanted prometheus"
fi
[ -n "$wanted" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "the tests need chromium and promtool on the PATH; here is no apt-get to get them: install$wanted by hand" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "the tests need programs from Debian; run: sudo apt-get install --no-install-recommends $wanted" >&2
  exit 1
fi
apt-get update -qq
case "$wanted" in *chromium*) DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core ;; esac
case "$wanted" in
  *prometheus*)
    fetched=$(mktemp -d)
    (cd "$fetched" && apt-get download -qq prometheus)
    dpkg -x "$fetched"/prometheus_*.deb "$directory"
    rm -r "$fetched"
    ;;
esac
