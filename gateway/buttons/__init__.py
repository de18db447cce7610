"""Call buttons: what their owners set, and what visitors of other pages may do with them."""
