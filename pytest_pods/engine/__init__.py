"""The container engine: a library that works without pytest, in the caller's process, on files under locks."""
