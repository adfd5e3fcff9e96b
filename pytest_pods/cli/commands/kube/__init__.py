"""`kube`: one module a verb."""
