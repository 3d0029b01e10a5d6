"""What the paper prints and says: numbers, tables, claims, and the audit of it."""
