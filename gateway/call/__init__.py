"""One phone call as pure rules: its states, its number, and the tokens that prove whose it is."""
