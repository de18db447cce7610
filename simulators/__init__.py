"""Services that a newcomer does not have yet, simulated: a carrier and a payment service."""
