"""What is on the disk: names, atomic writes, locks and JSON documents."""
