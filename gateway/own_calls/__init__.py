"""An account's own calls, for programs: tokens, quotes, live and ended calls, feedback."""
