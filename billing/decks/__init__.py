"""Rate decks that come with the package. Their prices are examples, no offer of anybody's."""
