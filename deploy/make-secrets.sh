#!/bin/sh
# Makes the passwords that the compose file and the Kubernetes manifests read, as files in DIRECTORY. What is there
# stays as it is, so that it can be run again.
#
# Usage: make-secrets.sh DIRECTORY
set -eu
directory=$1
umask 077
mkdir -p "$directory"
chmod 700 "$directory"

# The folder keeps other users of this machine out; the files must be readable for the numeric users of the containers.
keep() {
  [ -e "$directory/$1" ] || cat > "$directory/$1"
  chmod 444 "$directory/$1"
}

random() {
  head -c 32 /dev/urandom | od -An -v -t x1 | tr -d ' \n'
}

for name in valkey_password valkey_admin_password minio_password grafana_password; do
  random | keep "$name"
done
# The key of your model server; empty where it asks for none.
printf %s "${MEMROUTER_UPSTREAM_KEY:-}" | keep upstream_key
echo "secrets are in $directory; the model server's key is in $directory/upstream_key"
