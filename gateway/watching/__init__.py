"""Live calls as those who watch them see them: rows, totals, and texts for many."""
