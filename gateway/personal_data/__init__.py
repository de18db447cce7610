"""SQL that acts on all that is stored of a person at once, whichever feature stores it."""
