"""How often and how much: named limits as pure tables and budgets."""
