"""The engine: live calls, their bridges, the meter's rounds and the one heartbeat."""
