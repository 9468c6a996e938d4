"""Printed forms: numbers, tables and the summary of a model."""
