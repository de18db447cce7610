"""The gateway's adapters to stores: accounts, call tokens, the bundled Valkey."""
