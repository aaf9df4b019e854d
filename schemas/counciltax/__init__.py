"""Council tax accounts, and payments to the council's funds."""
