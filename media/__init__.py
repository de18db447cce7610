"""Bytes and samples in, bytes and samples out; knows no call, no network, no clock and no money."""
