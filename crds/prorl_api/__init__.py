"""The ProRLJob API: types, defaults, validation and the documents that the parts exchange.

Start with job.py. This package imports none of the others.
"""
