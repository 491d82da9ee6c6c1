"""What observing a node costs, as ratios within one process: `python -m benchmarks.nodes --help`.

Not for how long a process takes to end (``benchmarks.exits``) nor for memory over a million nodes
(``benchmarks.soak``).
"""
