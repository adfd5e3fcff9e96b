"""The client of image registries: transport, authentication, credentials, transfers."""
