"""What visitors of other pages ask of a button: its frame, a challenge, and a call's token."""
