"""Live calls of one node: from the request to the last report."""
