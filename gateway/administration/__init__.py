"""What operators do: with accounts, requests about data, nodes and live calls."""
