#!/bin/sh
# Runs a command in the project's environment, and makes that environment first where it is missing.
#
#   requirements/env.sh LEVEL COMMAND [ARGUMENT...]
#   requirements/env.sh plan LEVEL       prints the steps of a level instead of taking them
#
#   run       the gateway as it is installed, its pages built and its frame path compiled, and the
#             simulated services beside it
#   dev       the same packages, pages and API, with the tools of requirements/dev.txt and web/
#   test      the same, with a C compiler
#   test-all  the same, with the browsers, the servers and the packages of the thorough tests
#
# What is installed is what the tree held at the last `run`; the other levels use the tree itself.
#
# VENV    where the environment lies (default .venv)
# PYTHON  the interpreter to make it from (default: the first one on PATH that is new enough)
#
# Every step leaves a stamp with the checksum of what it was made from. A step whose stamp still
# fits is skipped, so that a second start costs milliseconds. Packages come from wherever the
# user's own pip and npm are set to look; nothing here names an index.
set -eu

FIREFOX_PACKAGES="firefox-esr pulseaudio pulseaudio-utils iproute2"
PYTHON_NAMES="python3 python3.14 python3.13 python3.12 python3.11"
# 20.19 is the oldest Node.js that loads ES modules by require
NODE_CHECK='const [a, b] = process.versions.node.split(".").map(Number);
process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_apt_root() { [ "$(id -u)" -eq 0 ] && have apt-get; }

# -- stamps ------------------------------------------------------------------------------------

checksum() { cksum "$@" | cksum; }
tree_checksum() { # tree_checksum FOLDER...
    find "$@" \( -name node_modules -o -name __pycache__ -o -name static -o -name openapi.\* \) \
        -prune -o -type f -exec cksum {} + | LC_ALL=C sort | cksum
    cksum <pyproject.toml
}
is_stamped() { [ -f "$VENV/stamps/$1" ] && [ "$(cat "$VENV/stamps/$1")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$VENV/stamps/$1"; }

# -- Python ------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() { # prefers an interpreter that can make environments without help
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || die "PYTHON=$PYTHON does not run, or is older than Python 3.11."
        printf '%s\n' "$PYTHON"
        return
    fi
    fallback=
    for name in $PYTHON_NAMES; do
        is_new_enough "$name" || continue
        if can_make_venv "$name"; then
            printf '%s\n' "$name"
            return
        fi
        fallback=${fallback:-$name}
    done
    [ -n "$fallback" ] || die "Caller needs Python 3.11 or newer; none of these is: $PYTHON_NAMES.
Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python),
or name the one to use: make run PYTHON=/path/to/python3"
    printf '%s\n' "$fallback"
}

make_venv() {
    python=$(find_python)
    say "Making a Python environment in $VENV…"
    if can_make_venv "$python"; then
        "$python" -m venv "$VENV"
    elif make_venv_by_virtualenv "$python"; then
        :
    elif is_apt_root; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        install_packages "python$version-venv"
        "$python" -m venv "$VENV"
    else
        die "$python lacks its venv module (Debian, Ubuntu: apt install python3-venv)."
    fi
    printf '*\n' >"$VENV/.gitignore"
    mkdir -p "$VENV/stamps"
}

make_venv_by_virtualenv() { # Debian splits ensurepip off; --target leaves the system's Python alone
    "$1" -m pip --version >/dev/null 2>&1 || return 1
    tool=$VENV/virtualenv
    mkdir -p "$VENV"
    "$1" -m pip install --quiet --root-user-action ignore --target "$tool" virtualenv || return 1
    PYTHONPATH="$tool" "$1" -m virtualenv --quiet --no-periodic-update "$VENV" || return 1
    rm -rf "$tool"
}

ensure_venv() { # an environment that was moved, or whose interpreter has gone, is made anew
    is_stamped place "$PWD" && "$VENV/bin/python" -c '' 2>/dev/null && return
    if [ -f "$VENV/stamps/place" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        [ ! -e "$VENV/pyvenv.cfg" ] || find "$VENV" -mindepth 1 -maxdepth 1 ! -name .lock \
            -exec rm -rf {} +
        make_venv
    fi
    mkdir -p "$VENV/stamps"
    stamp place "$PWD"
}

enter_venv() {
    PATH=$VENV/bin:$PATH
    VIRTUAL_ENV=$VENV
    export PATH VIRTUAL_ENV
    unset PYTHONHOME
}

install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

ensure_locked() { # ensure_locked NAME WHAT
    sum=$(checksum "requirements/$1.txt")
    is_stamped "$1" "$sum" && return
    say "Setting up $2 (once)…"
    install --require-hashes -r "requirements/$1.txt"
    stamp "$1" "$sum"
}

ensure_gateway() { # the build hook in pyproject.toml builds the pages and compiles the frame path
    sum=$(tree_checksum gateway media billing accounts database web deploy)
    is_stamped gateway "$sum" && return
    say "Building the gateway, its pages and its frame path…"
    # Here, where its packages are: the build would fetch them all for itself.
    "$VENV/bin/python" deploy/build_api.py
    install --no-deps .
    "$VENV/bin/python" -P -c 'import media.playout; exit(".so" not in media.playout.__file__)' ||
        say "There is no C compiler: the frame path is interpreted, and takes a quarter more CPU."
    stamp gateway "$sum"
}

ensure_simulators() { # after the gateway, on whose release they stand
    ensure_locked simulators "the simulated services"
    sum=$(tree_checksum simulators)
    is_stamped simulators-tree "$sum" && return
    install --no-deps ./simulators
    stamp simulators-tree "$sum"
}

# -- what only development needs ---------------------------------------------------------------

ensure_node() {
    { node -e "$NODE_CHECK" && have npm; } >/dev/null 2>&1 && return
    ensure_locked node "Node.js"
}

ensure_npm() { # ensure_npm FOLDER PROOF: a file that is there when development packages are
    [ -f "$1/package-lock.json" ] || return 0
    ensure_node
    name=npm-$(printf '%s' "$1" | tr / -)
    sum=$(checksum "$1/package.json" "$1/package-lock.json")
    is_stamped "$name" "$sum" && [ -e "$1/node_modules/$2" ] && return
    say "Setting up npm packages of $1 (once)…"
    npm --prefix "$1" ci --ignore-scripts --no-fund --no-audit --loglevel=error >/dev/null
    stamp "$name" "$sum"
}

ensure_pages() { # in the tree, where tests and tools look
    ensure_npm web .bin/tsc
    "$VENV/bin/python" web/build_pages.py
}

ensure_api() { # the same: the API's document, and the client that follows from it
    "$VENV/bin/python" client/build_client.py
}

install_packages() { # a server that apt starts must not inherit the lock
    say "Installing $* by apt…"
    apt-get update -qq >/dev/null 9>&- || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >/dev/null 9>&-
}

has_browser() {
    [ -n "${CALLER_CHROMIUM:-}" ] || have chromium || have google-chrome ||
        is_stamped browser playwright
}
has_headless() { # what is beside a browser of the distribution, whose pages it shows with less work
    ! have chromium || have chromium-headless-shell || [ -n "${CALLER_CHROMIUM:-}" ]
}
has_firefox() { # its microphone is PulseAudio's, its network one that ip makes
    { have firefox-esr || have firefox; } && have pulseaudio && have parec &&
        { have ip || [ -x /usr/sbin/ip ]; }
}
has_postgres() {
    have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

install_browser() { # Ubuntu's chromium package is a snap, of no use in a container
    if is_apt_root && grep -q '^ID=debian' /etc/os-release; then
        install_packages chromium && return
    fi
    say "Fetching a browser by Playwright…"
    with_deps=
    is_apt_root && with_deps=--with-deps
    playwright install $with_deps chromium >/dev/null && stamp browser playwright
}

has_program() { have "$1" || [ -x "/usr/sbin/$1" ]; }

# What cannot be had is left to the tests: they skip, and under CI they fail.

ensure_compiler() {
    have cc || { is_apt_root && install_packages gcc libc6-dev; } ||
        say "A C compiler is missing: tests of what is written in C will not run."
}

ensure_postgresql() {
    has_postgres || { is_apt_root && install_packages postgresql; } ||
        say "PostgreSQL is missing: its tests will not run (Debian: apt install postgresql)."
}

ensure_haproxy() {
    has_program haproxy || { is_apt_root && install_packages haproxy; } ||
        say "HAProxy is missing: its tests will not run (Debian: apt install haproxy)."
}

ensure_nginx() {
    has_program nginx || { is_apt_root && install_packages nginx; } ||
        say "nginx is missing: its tests will not run (Debian: apt install nginx)."
}

ensure_php() { # Go's example is tested where Go is: it would be the largest of all
    have php || { is_apt_root && install_packages php-cli; } ||
        say "PHP is missing: the test of its example will not run (Debian: apt install php-cli)."
}

ensure_chromium() {
    has_browser || install_browser ||
        say "Chromium is missing: its tests will not run (Debian: apt install chromium)."
    has_headless || { is_apt_root && install_packages chromium-headless-shell; } ||
        say "The tests of pages are slower without chromium-headless-shell."
}

ensure_firefox() {
    has_firefox || { is_apt_root && install_packages $FIREFOX_PACKAGES; } ||
        say "Firefox is missing: its tests will not run (Debian: apt install $FIREFOX_PACKAGES)."
}

# ----------------------------------------------------------------------------------------------

plan() { # the steps of a level, in order: each has a function named ensure_STEP
    case $1 in
    run) echo venv packages gateway simulators ;;
    dev) echo venv packages tools pages api ;;
    test) echo "$(plan dev)" compiler ;;
    test-all) echo "$(plan test)" caddy contract postgresql haproxy nginx php chromium firefox ;;
    *) return 1 ;;
    esac
}

ensure_packages() {
    enter_venv
    ensure_locked run "Python packages"
}
ensure_tools() { ensure_locked dev "development tools"; }
ensure_caddy() { ensure_locked test-all "Caddy"; }
ensure_contract() { # Twilio's OpenAPI documents: data, of which nothing is run
    ensure_npm tests/contract @twilio/cli-core/src/services/twilio-api
}

ensure() {
    for step in $1; do
        "ensure_$step"
    done
}

cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac

usage="usage: requirements/env.sh [plan] run|dev|test|test-all COMMAND [ARGUMENT...]"
if [ "${1:-}" = plan ]; then
    plan "${2:-}" || die "$usage"
    exit
fi
steps=$(plan "${1:-}") || die "$usage"
case $1 in
# Without what Python keeps beside its sources, each worker would compile every test anew, and a
# hundred processes the gateway: half a minute of CPU.
test*) unset PYTHONDONTWRITEBYTECODE ;;
esac
shift
if have flock; then # two commands started at once make the environment one after the other
    mkdir -p "$VENV"
    exec 9>"$VENV/.lock"
    flock 9
    ensure "$steps"
    exec 9>&-
else
    ensure "$steps"
fi
[ $# -eq 0 ] || exec "$@"
