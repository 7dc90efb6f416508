"""The client of the verification service."""
