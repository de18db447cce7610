"""The gateway: joins a browser to the phone network."""
