"""Inference from fitted models."""
