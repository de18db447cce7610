"""The phone page: its signal processing in Node, the page itself in a real browser."""
