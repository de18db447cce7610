"""`/v1`: the API for programs and for the phone page."""
