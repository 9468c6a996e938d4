"""``python -m mixedmodels``: the command line."""

from mixedmodels.cli import main

main()
