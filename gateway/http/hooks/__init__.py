"""Takes webhooks of other services, each verified before anything else is read of it."""
