"""Twilio's own OpenAPI documents grade what is said to Twilio and what is said in its name."""
