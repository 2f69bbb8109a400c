"""Recipes that make new entries: pretraining, and later pruning, distillation, merging and weight generation."""
