"""What other services tell: webhooks, verified before anything else."""
