"""The sound of one call: its two directions, the way they take, and how good they are."""
