"""The media package, module by module."""
