"""Simulates services that a newcomer does not have yet: a carrier and a payment service.

Both run behind the HTTP server in `serving`.
"""
