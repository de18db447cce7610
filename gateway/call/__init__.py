"""Rules of one phone call: its states, its number and the tokens that resume it."""
