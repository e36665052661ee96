"""What the verbs share: reading what they work on, what the model is told of it, the walk, and what they give."""
