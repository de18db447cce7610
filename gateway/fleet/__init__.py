"""The processes that share the stores: which nodes there are, how full, and asking them."""
