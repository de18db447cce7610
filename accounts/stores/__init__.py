"""Adapters of accounts to stores: holders, links and devices in SQL, sessions in Valkey."""
