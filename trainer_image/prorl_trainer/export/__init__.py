"""A checkpoint's policy as a model in Hugging Face format."""
