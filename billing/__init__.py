"""The price of calls and who pays it."""
