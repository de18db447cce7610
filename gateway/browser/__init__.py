"""The browser of a call: its messages, its leg and its reports."""
