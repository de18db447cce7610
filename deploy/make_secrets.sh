#!/bin/sh
# Makes the secrets of compose.roles.yaml and of kubernetes/, each a file in secrets/ beside this one.
# Twilio's auth token is asked for, or read from a pipe; the others are random. What is there stays:
# remove a file, and those below that are made of it, to have another one made.
#
# The folder is its owner's alone. The files in it are readable, because a container has another user.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets

keep() { # keep NAME: what is piped in, whole or not at all
    cat >"secrets/$1.new"
    chmod 444 "secrets/$1.new"
    mv "secrets/$1.new" "secrets/$1"
}

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in valkey_password database_password postgres_password second_factor_keys; do
    [ -s "secrets/$name" ] || random | keep "$name"
done

# The hosts are the services of compose.roles.yaml; write other ones by hand.
[ -s secrets/redis_url ] ||
    printf 'redis://caller:%s@valkey:6379/0' "$(cat secrets/valkey_password)" | keep redis_url
[ -s secrets/database_url ] ||
    printf 'postgresql://caller:%s@postgres:5432/caller' "$(cat secrets/database_password)" |
    keep database_url

if [ ! -s secrets/twilio_auth_token ]; then
    if [ -t 0 ]; then
        printf "Twilio's auth token (it is not shown): " >&2
        trap 'stty echo' EXIT
        trap 'exit 130' INT TERM
        stty -echo
    fi
    token=
    IFS= read -r token || [ -n "$token" ] || true
    [ -t 0 ] && echo >&2
    if [ -z "$token" ]; then
        echo "There is no auth token: run it again, or write it into secrets/twilio_auth_token." >&2
        exit 1
    fi
    printf %s "$token" | keep twilio_auth_token
fi
