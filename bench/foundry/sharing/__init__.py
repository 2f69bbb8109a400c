"""The layout of a model hub: a folder with weights, configuration and model card, written and read."""
