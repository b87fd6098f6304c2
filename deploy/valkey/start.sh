#!/bin/sh
# Becomes the Valkey server. Its users are made from the passwords in VALKEY_SECRETS, as digests, so that no password
# stands in an argument, in the environment or in the configuration.
#
# Usage: start.sh [ARGUMENT OF valkey-server]...
set -eu
secrets=${VALKEY_SECRETS:-/run/secrets}
run=${VALKEY_RUN:-/run/valkey}
config=${VALKEY_CONFIG:-/etc/valkey/valkey.conf}

digest() {
  password=$(cat "$secrets/$1")
  [ "${#password}" -ge 16 ] || { echo "start.sh: $secrets/$1 needs a password of 16 characters or more" >&2; exit 1; }
  printf %s "$password" | sha256sum | cut -d ' ' -f 1
}

umask 077
admin=$(digest valkey_admin_password)
router=$(digest valkey_password)
# default: operators, backups, exporters. memrouter: what routers need, with `index rebuild`, `reindex` and `doctor`.
cat > "$run/users.acl" <<ACL
user default on #$admin ~* &* +@all
user memrouter on #$router ~mem:* ~~mem:* ~mem_idx resetchannels -@all +client|setname +client|setinfo +ping +info +eval +evalsha +get +set +time +exists +unlink +pexpire +persist +hget +hset +hsetnx +hmget +hgetall +hlen +hdel +hstrlen +zadd +zrem +zcard +zcount +zrange +zrangebylex +zrank +zrevrange +zrevrank +zscore +scan +ft.info +ft.create +ft.search +cluster|slots +module|list +type +dump +pexpiretime +del +ft.dropindex +hexists +@transaction
ACL
exec valkey-server "$config" "$@"
