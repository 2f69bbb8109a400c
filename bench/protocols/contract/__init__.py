"""Parts shared by all protocols: the typed noun, the context of a run, and selection on validation."""
