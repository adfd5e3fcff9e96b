"""Networking of containers: host ports, the way out, names. Blind to images and the OCI runtime."""
