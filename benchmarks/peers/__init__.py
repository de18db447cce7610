"""The servers under test: each carries the same frames between the two legs of a call."""
