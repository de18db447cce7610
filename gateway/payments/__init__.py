"""Money in from cards, and back to them: top-ups, refunds and disputes at a payment service."""
