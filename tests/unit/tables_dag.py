"""A dataflow of tables with a parallel block, a check and a saver, for tests: worker processes import it by name."""

import pandas as pd
from hamilton.function_modifiers import check_output, save_to, source
from hamilton.htypes import Collect, Parallelizable


def part(start: int) -> Parallelizable[int]:
    yield from range(1, start + 1)


@check_output(data_type=int, importance="warn")
def column(part: int) -> pd.Series:
    return pd.Series(range(part))


@save_to.csv(path=source("path"), output_name_="saved")
def table(column: pd.Series) -> pd.DataFrame:
    return column.to_frame("a")


def part_of_all(table: pd.DataFrame, saved: dict) -> pd.DataFrame:  # type: ignore[type-arg]
    return table


def all_rows(part_of_all: Collect[pd.DataFrame]) -> int:
    return sum(map(len, part_of_all))
