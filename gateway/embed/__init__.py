"""Buttons on other pages: their keys, rules, hours, challenges and visitors. Pure."""
