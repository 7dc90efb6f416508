"""What is saved, the commit protocol and the store."""
