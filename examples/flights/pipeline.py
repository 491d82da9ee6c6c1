# mypy: disable-error-code="import-untyped"
"""Forecasts flight delays and saves the forecast as parquet files."""

import argparse
import itertools
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import faults
import flight_delays
import structlog
from hamilton import driver
from hamilton.io.materialization import to

logger = logging.getLogger("pipeline")

TABLES = ("predictions", "delays_by_carrier", "delays_by_hour")
FEWEST_ROWS = 500


def run(dr: driver.Driver, inputs: dict[str, Any], output: Path) -> None:
    """Runs the dataflow once and prints how good the forecast is and where it lies."""
    savers = [
        to.parquet(id=f"save_{name}", dependencies=[name], path=output / f"{name}.parquet", engine="pyarrow")
        for name in TABLES
    ]
    _, results = dr.materialize(*savers, additional_vars=["evaluation"], inputs=inputs)
    mae = results["evaluation"]["mae"]
    print(
        f"Arrival delay is off by {mae['model']:.1f} minutes on average;"
        f" guessing the departure delay, by {mae['departure_delay']:.1f}."
    )
    print(f"Predictions: {output / 'predictions.parquet'}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the dataflow as often as the command line asks; 0 if every run succeeded."""
    args = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    module = flight_delays
    if args.slow:
        module = faults.slow(module, args.slow_node, args.slow)
    if args.fail:
        module = faults.failing(module, args.fail, args.error)
    dr = driver.Builder().with_modules(module).build()
    inputs = {} if args.rows is None else {"rows": args.rows}

    failed = 0
    turns = itertools.count(1) if args.loop == math.inf else range(1, args.loop + 1)
    try:
        for turn in turns:
            try:
                run(dr, inputs, args.output)
            except Exception:
                if args.loop == 1:
                    raise
                logger.exception("run %d failed", turn)
                failed += 1
            if turn < args.loop:
                time.sleep(args.every)
    except KeyboardInterrupt:
        return 130
    return 1 if failed else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    nodes = faults.nodes(flight_delays)
    add("--rows", type=int, metavar="N", help="use a sample of N flights instead of all")
    add("--output", type=Path, default=Path("output"), metavar="DIR", help="where to save (%(default)s)")
    add("--loop", type=_turns, default=1, metavar="N|forever", help="run so often")
    add("--every", type=_seconds, default=0.0, metavar="SECONDS", help="pause between two runs")
    add("--fail", choices=nodes, metavar="NODE", help="let this node raise an error")
    add("--error", choices=faults.ERRORS, default="user", help="whose fault the error is (%(default)s)")
    add("--slow", type=_seconds, default=0.0, metavar="SECONDS", help="let a node take so much longer")
    add("--slow-node", choices=nodes, default="delay_model", metavar="NODE", help="which node (%(default)s)")
    args = parser.parse_args(arguments)
    if args.rows is not None and args.rows < FEWEST_ROWS:
        parser.error(f"argument --rows: {args.rows} flights cannot train a model, use {FEWEST_ROWS} or more")
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --output: cannot create {args.output}: {error.strerror}")
    return args


def _turns(text: str) -> float:
    if text == "forever":
        return math.inf
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a positive whole number nor 'forever'")


def _seconds(text: str) -> float:
    seconds = float(text)
    if 0 <= seconds < math.inf:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from zero up")


if __name__ == "__main__":
    sys.exit(main())
