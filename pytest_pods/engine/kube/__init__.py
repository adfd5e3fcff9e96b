"""Kubernetes documents: pods, config maps and claims read into what the engine is asked for, and written."""
