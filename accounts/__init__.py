"""Who an account belongs to: addresses, passwords, sign-ins, sessions, links, consent."""
