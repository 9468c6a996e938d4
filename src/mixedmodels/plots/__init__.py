"""Pictures of data and of fitted models.

Importing this package does not import matplotlib; the modules that draw do, and the functions that
are public import those when they are first called. No module imports pyplot.
"""
