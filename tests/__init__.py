"""The tests; see docs/design for how they are cut."""
