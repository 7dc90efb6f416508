"""One scorer per domain: (completion, answer, meta) -> score in [0, 1] and a reason."""
