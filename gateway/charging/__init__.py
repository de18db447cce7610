"""What calls cost: holds and rounds, the final price, and both stores kept in line."""
