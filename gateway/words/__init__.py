"""Words that more than one part of the gateway says to people."""
