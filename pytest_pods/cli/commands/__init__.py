"""One module a command: its options, one call of the engine, what is printed."""
