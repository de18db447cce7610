#!/bin/sh
# Starts Valkey with one user, the gateway's, who may use it but not administer it.
#
# Runs in the containers of compose.stores.yaml and compose.roles.yaml. The password, or the file
# with it that VALKEY_PASSWORD_FILE names, reaches neither a command line nor an image; it goes into a
# URL too, so that it is of letters, digits, - and _.
set -eu
umask 077

[ -z "${VALKEY_PASSWORD_FILE:-}" ] || VALKEY_PASSWORD=$(cat "$VALKEY_PASSWORD_FILE")
case "${VALKEY_PASSWORD:-}" in
    "" | *[!A-Za-z0-9_-]*)
        echo "VALKEY_PASSWORD must be set, of letters, digits, - and _: openssl rand -hex 24" >&2
        exit 2
        ;;
esac

config=$(mktemp)
# Whoever gives no password may see that the server lives. INFO and CONFIG GET are what the
# gateway judges a server by before it trusts it with credits.
cat >"$config" <<CONFIG
user default on nopass resetkeys resetchannels -@all +ping
user caller on >$VALKEY_PASSWORD ~* resetchannels +@all -@admin -@dangerous +info +config|get
protected-mode no
dir ${VALKEY_DATA:-/data}
# Credits must never be evicted, and must survive a restart.
maxmemory ${VALKEY_MEMORY:-1gb}
maxmemory-policy noeviction
appendonly yes
CONFIG
exec valkey-server "$config" "$@"
