"""Networks of containers: namespaces, published ports, the way out."""
