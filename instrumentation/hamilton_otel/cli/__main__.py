"""``python -m hamilton_otel.cli``."""

from . import main

main()
