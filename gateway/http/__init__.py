"""HTTP: the API for programs, the carrier's webhooks, the pages."""
