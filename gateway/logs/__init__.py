"""What is logged, and in what form."""
