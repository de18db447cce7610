"""What a process of the gateway is made of, and how it is put together."""
