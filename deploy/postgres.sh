#!/bin/sh
# Makes the gateway's database and its role, which owns that database and nothing else.
#
# The image of compose.stores.yaml and compose.roles.yaml runs it once, when the volume is new; by hand
# it needs psql and the rights of a superuser. The password, or the file with it that
# DATABASE_PASSWORD_FILE names, reaches no command line.
set -eu
[ -z "${DATABASE_PASSWORD_FILE:-}" ] || DATABASE_PASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export DATABASE_PASSWORD="${DATABASE_PASSWORD:?set it in .env}"

psql --set=ON_ERROR_STOP=1 --no-psqlrc --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv password DATABASE_PASSWORD
CREATE ROLE caller LOGIN PASSWORD :'password'
    NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE DATABASE caller OWNER caller;
REVOKE ALL ON DATABASE caller FROM PUBLIC;
SQL
