"""Marks: their definitions, and how they become specifications."""
