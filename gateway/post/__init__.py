"""What leaves for people and programs: mails and webhooks."""
