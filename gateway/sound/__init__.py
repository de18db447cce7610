"""The audio of one call: its two directions, its media path and its quality."""
