"""Twilio, and services that speak like it: media streams, REST, webhooks."""
