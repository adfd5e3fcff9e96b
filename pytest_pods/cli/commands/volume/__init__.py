"""`volume`: one module a verb."""
