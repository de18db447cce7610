"""What a person is given of the data that are kept of them, and what is forgotten in time."""
