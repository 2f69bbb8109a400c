"""Ways to adapt a model to a task and to score it: one file each, named by ``protocols=``."""
