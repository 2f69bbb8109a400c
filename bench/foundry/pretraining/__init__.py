"""Losses and views of the pretraining recipe."""
