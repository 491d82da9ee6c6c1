# mypy: disable-error-code="import-untyped,untyped-decorator"
"""How late will a flight arrive, given all that is known when it leaves the gate?

Flights out of New York in 2013 (the nycflights13 data), joined with the weather at their airport and with the
aircraft that flew them.
"""

import logging
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import structlog
from hamilton.function_modifiers import check_output, tag

log = structlog.get_logger()
logger = logging.getLogger(__name__)

FLIGHT_COLUMNS = [
    *("year", "month", "day", "time_hour", "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "distance"),
]
WEATHER_COLUMNS = ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
LATE = 15  # minutes, where the US Department of Transportation draws the line


@dataclass(frozen=True, eq=False)
class DelayModel:
    """A linear model of the arrival delay over standardised features."""

    intercept: float
    coefficients: pd.Series
    means: pd.Series
    scales: pd.Series

    def predict(self, features: pd.DataFrame) -> pd.Series:
        """Minutes of arrival delay for every row of features."""
        return self.intercept + ((features - self.means) / self.scales) @ self.coefficients


def _read(name: str, columns: list[str]) -> pd.DataFrame:
    # Located without an import: importing nycflights13 reads every table and needs setuptools.
    path = Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    return pd.read_csv(path, usecols=columns, engine="pyarrow")


def _training_mean(values: pd.Series, groups: list[pd.Series], is_training: pd.Series) -> pd.Series:
    means = values.where(is_training).groupby(groups).transform("mean")
    return means.fillna(values[is_training].mean())


def _summarise(delay: pd.Series, group: pd.Series) -> pd.DataFrame:
    groups = pd.DataFrame({"delay": delay, "late": delay > LATE}).groupby(group)
    summary = groups.agg(flights=("delay", "size"), mean_delay=("delay", "mean"), late=("late", "mean"))
    return summary.reset_index()


def _minutes(clock: pd.Series) -> pd.Series:
    return clock // 100 * 60 + clock % 100


@tag(stage="load", owner="data-platform")
def flights(rows: int | None = None) -> pd.DataFrame:
    """All scheduled flights, or a sample of them spread evenly over the year."""
    table = _read("flights.csv.zip", FLIGHT_COLUMNS)
    if rows is None or rows >= len(table):
        return table
    return table.iloc[np.linspace(0, len(table) - 1, rows, dtype=int)]


@tag(stage="load", owner="data-platform")
def weather() -> pd.DataFrame:
    """Hourly observations at the three New York airports."""
    return _read("weather.csv", WEATHER_COLUMNS)


@tag(stage="load", owner="data-platform")
def planes() -> pd.DataFrame:
    """Year of manufacture of each aircraft."""
    return _read("planes.csv", ["tailnum", "year"]).rename(columns={"year": "built"})


@tag(stage="load", owner="data-platform")
def airlines() -> pd.DataFrame:
    """Names of the carriers."""
    return _read("airlines.csv", ["carrier", "name"])


@tag(stage="clean", owner="flight-ops")
def flown_flights(flights: pd.DataFrame) -> pd.DataFrame:
    """Flights that arrived where they were meant to: neither cancelled nor diverted."""
    flown = flights.dropna(subset=["dep_delay", "arr_delay"])
    logger.info("dropped %d cancelled or diverted flights of %d", len(flights) - len(flown), len(flights))
    return flown.assign(date=pd.to_datetime(flown[["year", "month", "day"]]))


@tag(stage="join", owner="flight-ops")
def flights_with_weather(flown_flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Flights with the weather at their airport in the hour of their scheduled departure."""
    joined = flown_flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    log.info("joined weather", rows=len(joined), without_weather=int(joined["temp"].isna().sum()))
    return joined


@tag(stage="join", owner="flight-ops")
def enriched_flights(flights_with_weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Flights with weather and with the aircraft that flew them."""
    return flights_with_weather.merge(planes, on="tailnum", how="left", validate="many_to_one")


@tag(stage="features", owner="forecasting")
@check_output(range=(-120.0, 1500.0), importance="fail")
def arrival_delay(enriched_flights: pd.DataFrame) -> pd.Series:
    """Minutes between scheduled and actual arrival: what the model predicts."""
    return enriched_flights["arr_delay"].astype(float)


@tag(stage="features", owner="forecasting")
def is_training(enriched_flights: pd.DataFrame, split_date: str = "2013-10-01") -> pd.Series:
    """Marks the flights before the split date, the only ones that the model learns from."""
    return enriched_flights["date"] < pd.Timestamp(split_date)


@tag(stage="features", owner="forecasting")
def carrier_catch_up(enriched_flights: pd.DataFrame, is_training: pd.Series) -> pd.Series:
    """Minutes that the carrier usually makes up between departure and arrival."""
    made_up = enriched_flights["dep_delay"] - enriched_flights["arr_delay"]
    return _training_mean(made_up, [enriched_flights["carrier"]], is_training)


@tag(stage="features", owner="forecasting")
def schedule_slack(enriched_flights: pd.DataFrame, is_training: pd.Series) -> pd.Series:
    """Minutes that the schedule allows beyond what the route usually takes from gate to gate."""
    departure, arrival = (_minutes(enriched_flights[f"sched_{end}_time"]) for end in ("dep", "arr"))
    scheduled = (arrival - departure) % (24 * 60)
    taken = scheduled + enriched_flights["arr_delay"] - enriched_flights["dep_delay"]
    route = [enriched_flights["origin"], enriched_flights["dest"]]
    return scheduled - _training_mean(taken, route, is_training)


@tag(stage="features", owner="forecasting")
def hour_of_day(enriched_flights: pd.DataFrame) -> pd.Series:
    """Scheduled hour of departure, local time, with minutes as its fraction."""
    return (_minutes(enriched_flights["sched_dep_time"]) / 60).rename("hour")


@tag(stage="features", owner="forecasting")
def aircraft_age(enriched_flights: pd.DataFrame) -> pd.Series:
    """Age of the aircraft in years, missing where the registry does not know it."""
    return enriched_flights["year"] - enriched_flights["built"]


@tag(stage="features", owner="forecasting")
def features(
    enriched_flights: pd.DataFrame,
    carrier_catch_up: pd.Series,
    schedule_slack: pd.Series,
    hour_of_day: pd.Series,
    aircraft_age: pd.Series,
    is_training: pd.Series,
) -> pd.DataFrame:
    """One row of numbers per flight, with gaps filled by the median of the training flights."""
    # No month or season: one year cannot teach the seasons that come after the split date.
    as_reported = enriched_flights[["dep_delay", "distance", *WEATHER_COLUMNS[2:]]]
    weekdays = pd.get_dummies(enriched_flights["date"].dt.day_of_week, prefix="weekday")
    table = as_reported.join(weekdays).assign(
        carrier_catch_up=carrier_catch_up,
        schedule_slack=schedule_slack,
        hour_of_day=hour_of_day,
        hour_of_day_squared=hour_of_day**2,
        aircraft_age=aircraft_age,
    )
    table = table.astype(float)
    return table.fillna(table[is_training].median())


@tag(stage="model", owner="forecasting")
def delay_model(
    features: pd.DataFrame, arrival_delay: pd.Series, is_training: pd.Series, ridge_penalty: float = 10.0
) -> DelayModel:
    """Ridge regression of the arrival delay on the training flights, in closed form."""
    known, target = features[is_training], arrival_delay[is_training]
    means, scales = known.mean(), known.std().replace(0.0, 1.0)
    matrix = ((known - means) / scales).to_numpy()
    penalty = ridge_penalty * np.eye(matrix.shape[1])
    solution = np.linalg.solve(matrix.T @ matrix + penalty, matrix.T @ (target - target.mean()).to_numpy())
    coefficients = pd.Series(solution, index=features.columns)
    logger.info("model fitted on %d flights, strongest feature %s", len(known), coefficients.abs().idxmax())
    return DelayModel(float(target.mean()), coefficients, means, scales)


@tag(stage="model", owner="forecasting")
def predictions(
    enriched_flights: pd.DataFrame,
    features: pd.DataFrame,
    arrival_delay: pd.Series,
    is_training: pd.Series,
    delay_model: DelayModel,
) -> pd.DataFrame:
    """Actual and predicted arrival delay of every flight since the split date."""
    unseen = ~is_training
    flight = enriched_flights.loc[unseen, ["date", "carrier", "flight", "origin", "dest", "dep_delay"]]
    return flight.assign(arrival_delay=arrival_delay[unseen], predicted_delay=delay_model.predict(features[unseen]))


@tag(stage="report", owner="forecasting")
def evaluation(predictions: pd.DataFrame, arrival_delay: pd.Series, is_training: pd.Series) -> pd.DataFrame:
    """Errors in minutes of the model and of two simple guesses on the flights since the split date."""
    guesses = pd.DataFrame(
        {
            "model": predictions["predicted_delay"],
            "departure_delay": predictions["dep_delay"],
            "training_mean": arrival_delay[is_training].mean(),
        }
    )
    errors = guesses.sub(predictions["arrival_delay"], axis="index")
    log.info("model evaluated", rows=len(errors), mae=round(float(errors["model"].abs().mean()), 2))
    return pd.DataFrame({"mae": errors.abs().mean(), "rmse": (errors**2).mean() ** 0.5})


@tag(stage="report", owner="flight-ops")
def delays_by_carrier(enriched_flights: pd.DataFrame, arrival_delay: pd.Series, airlines: pd.DataFrame) -> pd.DataFrame:
    """Flights, mean arrival delay and share that is over 15 minutes late, for each carrier."""
    delays = _summarise(arrival_delay, enriched_flights["carrier"])
    return airlines.merge(delays, on="carrier").sort_values("mean_delay", ascending=False, ignore_index=True)


@tag(stage="report", owner="flight-ops")
def delays_by_hour(arrival_delay: pd.Series, hour_of_day: pd.Series) -> pd.DataFrame:
    """Flights, mean arrival delay and share that is over 15 minutes late, for each hour of departure."""
    return _summarise(arrival_delay, hour_of_day.astype(int))
