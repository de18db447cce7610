"""The gateway's store adapters: accounts, call tokens, limits, leases, the bundled Valkey."""
