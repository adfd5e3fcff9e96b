"""Images on the disk: blobs, layers, records, archives."""
