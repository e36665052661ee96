"""The page of a run: one HTML file that needs nothing else, for a reader who has never met a diffusion model."""
