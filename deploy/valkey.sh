#!/bin/sh
# Starts Valkey with one user, the gateway's, who may use it but not administer it.
#
# Runs in the containers of compose.stores.yaml and compose.roles.yaml. The password, or the file
# with it that VALKEY_PASSWORD_FILE names, reaches neither a command line nor an image; it goes into a
# URL too, so that it is of letters, digits, - and _. By hand it listens on this machine only; the
# containers set VALKEY_BIND, the addresses to listen on, for their own network.
set -eu
umask 077

[ -z "${VALKEY_PASSWORD_FILE:-}" ] || VALKEY_PASSWORD=$(cat "$VALKEY_PASSWORD_FILE")
case "${VALKEY_PASSWORD:-}" in
    "" | *[!A-Za-z0-9_-]*)
        echo "VALKEY_PASSWORD must be set, of letters, digits, - and _: openssl rand -hex 24" >&2
        exit 2
        ;;
esac

# Exactly what the gateway does: its keys, its channel, its commands. One line for the configuration.
rights="~caller:* ~{cr:*}:* &caller/watch/* -@all
+bgrewriteaof +blmpop +client|setinfo +config|get +del +eval +evalsha +exec +exists +expire +get
+getdel +getrange +hdel +hexists +hget +hgetall +hincrby +hkeys +hlen +hmget +hset +incrby +info
+lindex +llen +lpush +lrange +ltrim +multi +pexpire +ping +pttl +publish +rename +rpush +sadd
+script|load +set +sismember +smembers +smismember +srem +subscribe +time +ttl +type +xadd +xdel
+xinfo|stream +xlen +xrange +xread +zadd +zrange +zrangebyscore +zrem +zremrangebyscore
+zrevrange"
rights=$(printf %s "$rights" | tr '\n' ' ')

# From its standard input, the configuration lies in no file: it has the password. Whoever gives none
# may see that the server lives.
exec valkey-server "$@" - <<CONFIG
user default on nopass resetkeys resetchannels -@all +ping
user caller on >$VALKEY_PASSWORD resetchannels $rights
protected-mode no
bind ${VALKEY_BIND:-127.0.0.1 -::1}
dir ${VALKEY_DATA:-/data}
# Credits must never be evicted, and must survive a restart.
maxmemory ${VALKEY_MEMORY:-1gb}
maxmemory-policy noeviction
appendonly yes
CONFIG
