"""Is the model any good, and did it copy? Scores with intervals, floors and baselines; label agreement; the audit."""
