"""Twilio and compatible services: Media Streams, REST API, webhooks."""
