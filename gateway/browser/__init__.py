"""The browser leg of a call: its messages, its socket and what is reported to it."""
