"""From data to a trained model: the plan, the step, the averages, the checkpoints, and the loop that joins them."""
