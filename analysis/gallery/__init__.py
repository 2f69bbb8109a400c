"""Selection of a suite's figures, with their captions, numbers and alternative texts."""
