"""Verbs that need several of the engine's subsystems."""
