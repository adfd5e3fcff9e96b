"""Documents of the Open Container Initiative as plain values: references, digests, manifests, configs."""
