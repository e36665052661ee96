"""A person's data: read, described, split and served in batches."""
