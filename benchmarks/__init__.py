"""Measurements of what telemetry costs; each writes its figures to ``results/``, with the machine they come from.

Not part of the package, and no tests: those bound a short form of each.
"""
