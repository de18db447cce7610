"""Audio processing: bytes and samples in, bytes and samples out."""
