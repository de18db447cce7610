"""Card payments through a payment service: top-ups, refunds and disputes."""
