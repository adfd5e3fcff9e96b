"""What several tests share: real servers, image makers, leak checks."""
