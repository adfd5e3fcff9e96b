"""`network`: one module a verb."""
