"""The command line `caller-remote`, for operators whose machine has no access to the stores."""
