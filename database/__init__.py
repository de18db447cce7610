"""What all domains need of the SQL database: connections, refusals, migrations."""
