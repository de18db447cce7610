"""The pure rules of one phone call: its states, its number and the tokens that identify it."""
