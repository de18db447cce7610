#!/bin/sh
# Writes into .env, beside this file, which images the compose files and the Dockerfile mean: each by
# the digest that its version has at the registry now. A version may be filled otherwise some day, a
# digest cannot. Run it again to take newer ones; what else .env holds stays.
set -eu
cd "$(dirname "$0")"

images='
VALKEY_IMAGE=valkey/valkey:9.1.2
POSTGRES_IMAGE=postgres:17.7
CADDY_IMAGE=caddy:2.11.7
PYTHON_IMAGE=python:3.13.9-slim-trixie
'

[ -f .env ] || cp env.example .env
pinned=
for image in $images; do
    version=${image#*=}
    digest=$(docker buildx imagetools inspect "$version" --format '{{.Manifest.Digest}}') || {
        echo "The registry was not asked for $version: is docker there, and the network?" >&2
        exit 1
    }
    if ! printf '%s\n' "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
        echo "What docker says of $version is no digest." >&2
        exit 1
    fi
    pinned="$pinned${image%%=*}=$version@$digest
"
done
umask 077
{
    grep -Ev '^(VALKEY|POSTGRES|CADDY|PYTHON)_IMAGE=' .env || true
    printf '%s' "$pinned"
} >.env.new
mv .env.new .env
