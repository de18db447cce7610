"""Whole calls over real sockets: the gateway and the simulated carrier, each its own process."""
