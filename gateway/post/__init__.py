"""Messages to people and programs: mail and webhooks."""
