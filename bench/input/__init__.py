"""From a suite's samples to a model's input."""
