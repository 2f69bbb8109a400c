"""Probes of frozen features: pooled (logistic, ridge, k nearest neighbours) and dense."""
