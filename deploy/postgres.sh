#!/bin/sh
# Makes the gateway's database and its role, which owns that database and nothing else.
#
# The image of compose.stores.yaml and compose.roles.yaml runs it once, when the volume is new; by hand
# it needs psql and the rights of a superuser. Run again it changes nothing but the password, to the
# one that it is told. The password, or the file with it that DATABASE_PASSWORD_FILE names, reaches no
# command line.
set -eu
[ -z "${DATABASE_PASSWORD_FILE:-}" ] || DATABASE_PASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export DATABASE_PASSWORD="${DATABASE_PASSWORD:?set it in .env}"

psql --set=ON_ERROR_STOP=1 --no-psqlrc --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv password DATABASE_PASSWORD
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_database WHERE datname = 'caller'
               AND pg_get_userbyid(datdba) <> 'caller') THEN
        RAISE EXCEPTION 'the database "caller" belongs to another role; nothing was changed'
            USING HINT = 'Rename it, or give it away: ALTER DATABASE caller OWNER TO caller.';
    END IF;
END $$;
SELECT 'CREATE ROLE caller' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'caller') \gexec
ALTER ROLE caller LOGIN PASSWORD :'password'
    NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
SELECT 'CREATE DATABASE caller OWNER caller'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'caller') \gexec
REVOKE ALL ON DATABASE caller FROM PUBLIC;
SQL
