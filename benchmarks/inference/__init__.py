"""Inference raced against lme4, lmerTest and pbkrtest: `python -m benchmarks.inference`."""
