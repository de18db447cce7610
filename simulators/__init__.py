"""Services that a newcomer does not have yet, simulated: a carrier and a payment service.

They share `serving`, the HTTP server each of them runs behind.
"""
