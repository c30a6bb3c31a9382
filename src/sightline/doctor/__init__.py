"""What is wrong with a network before anything is explained, and which methods can be trusted on it."""
