"""The whole system, from a browser to the phone network."""
