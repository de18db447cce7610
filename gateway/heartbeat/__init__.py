"""What is due: the one ticker of a process, its timers and its periodic tasks."""
