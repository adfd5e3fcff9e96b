"""`healthcheck`: one module a verb."""
