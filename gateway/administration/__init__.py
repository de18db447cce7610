"""What operators do with accounts: search, freeze, lock, sign out, credit, lift rules."""
