"""Runs one model-written program at a time where it can reach nothing. docs/security.md has the
layers, and what each of them stops.

`zygote` (and what it imports: `confine`, `syscalls`, `driver`, `frames`, `levels`) runs in a bare
interpreter beside the untrusted program and imports only the standard library.
"""
