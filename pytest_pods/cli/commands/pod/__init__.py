"""`pod`: one module a verb."""
