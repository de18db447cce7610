"""Simulates services that a newcomer does not have yet: a carrier, payments, a mail server.

Each runs behind the HTTP server in `serving`.
"""
