"""What is taken for Grafana's behaviour in the tests of the dashboards, one rule a test."""

import math
from typing import Any

import pytest

from tests.dashboards.grafana import ALL, Answer, Field, Frame, GrafanaError, Query, interpolate, read, transform

START, END = 1_700_000_000_000, 1_700_003_600_000  # an hour
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}
JAEGER = {"type": "jaeger", "uid": "jaeger"}


def custom(name: str = "x", query: str = "a,b", **more: Any) -> dict[str, Any]:
    return {"type": "custom", "name": name, "query": query, "current": {}, **more}


def labels(name: str, query: str, **more: Any) -> dict[str, Any]:
    model = {"type": "query", "name": name, "datasource": PROMETHEUS, "query": {"query": query, "refId": "v"}}
    return {**model, "current": {}, **more}


def panel(target: dict[str, Any], datasource: dict[str, str] = PROMETHEUS, **more: Any) -> dict[str, Any]:
    targets = [{"refId": "A", **target}]
    return {"id": 1, "type": "timeseries", "title": "panel", "datasource": datasource, "targets": targets, **more}


def dashboard(*panels: dict[str, Any], variables: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"uid": "d", "title": "dashboard", "panels": list(panels), "templating": {"list": variables or []}, **more}


def queries(model: dict[str, Any], **how: Any) -> list[Query]:
    how = {name: {"d": value} if name in ("variables", "answers") else value for name, value in how.items()}
    return interpolate([model], **{"start_ms": START, "end_ms": END, **how})


def of_panels(model: dict[str, Any], **how: Any) -> list[Query]:
    return [query for query in queries(model, **how) if query.of == "panel"]


def expr(text: str, *variables: dict[str, Any], datasource: dict[str, str] = PROMETHEUS, **values: Any) -> str:
    """The expression of a panel whose dashboard has these variables with these values."""
    model = dashboard(panel({"expr": text}, datasource), variables=list(variables))
    return of_panels(model, variables=values)[0].expr


MANY = custom(multi=True, includeAll=True, query="a.b,c")


class TestValues:
    def test_single(self) -> None:
        """A variable of one value is put in as it is."""
        assert expr('m{l="$x"} ${x} [[x]]', custom(), x="a.b") == 'm{l="a.b"} a.b a.b'

    def test_single_is_first(self) -> None:
        """A custom variable that has no value has its first option's."""
        assert expr("$x", custom(query="Name : v1,v2")) == "v1"

    def test_saved_value(self) -> None:
        """A value that is saved in the dashboard holds."""
        assert expr("$x", custom(current={"text": "b", "value": "b"})) == "b"

    def test_several(self) -> None:
        """Several values for Prometheus are escaped and joined in parentheses."""
        assert expr('m{l=~"$x"}', MANY, x=["a.b", "c"]) == r'm{l=~"(a\\.b|c)"}'

    def test_one_of_several(self) -> None:
        """One value of a variable that may have several is escaped, without parentheses."""
        assert expr('m{l=~"$x"}', MANY, x=["a.b"]) == r'm{l=~"a\\.b"}'

    def test_all(self) -> None:
        """All without a value of its own is every option."""
        assert expr('m{l=~"$x"}', MANY, x=ALL) == r'm{l=~"(a\\.b|c)"}'

    def test_all_value(self) -> None:
        """All with a value of its own is that value, as it is."""
        assert expr('m{l=~"$x"}', {**MANY, "allValue": ".+"}, x=ALL) == 'm{l=~".+"}'

    def test_all_by_default(self) -> None:
        """A variable that may be all, and has no value, is first of its options."""
        assert expr("$x", custom(includeAll=True)) == "(a|b)"

    def test_textbox(self) -> None:
        """A text box has its default until something is written into it."""
        box = {"type": "textbox", "name": "x", "query": "default", "current": {}}
        assert expr("$x", box) == "default"
        assert expr("$x", box, x="written") == "written"

    def test_constant(self) -> None:
        """A constant has its value."""
        assert expr("$x", {"type": "constant", "name": "x", "query": "value"}) == "value"

    def test_interval(self) -> None:
        """An interval variable has its first interval, or the one that suits the time range."""
        variable = {
            "type": "interval",
            "name": "x",
            "query": "1m,10m",
            "auto": True,
            "auto_count": 30,
            "auto_min": "10s",
        }
        assert expr("[$x]", variable) == "[1m]"
        assert expr("[$x]", {**variable, "current": {"value": "$__auto"}}) == "[2m]"

    def test_adhoc(self) -> None:
        """An ad hoc filter goes into every selector of its data source."""
        filters = [{"key": "l", "operator": "=", "value": "v"}]
        assert (
            expr("sum(m)", {"type": "adhoc", "name": "x", "datasource": PROMETHEUS, "filters": filters})
            == 'sum(m{l="v"})'
        )

    def test_unknown_name(self) -> None:
        """What is no variable stays as it is."""
        assert expr("$nothing ${nothing}") == "$nothing ${nothing}"

    def test_unknown_value(self) -> None:
        """A value for a variable or a dashboard that is not there is refused."""
        with pytest.raises(GrafanaError, match="no variable y"):
            expr("x", custom(), y="1")
        with pytest.raises(GrafanaError, match="no dashboard has the uid other"):
            read([dashboard()], start_ms=START, end_ms=END, variables={"other": {}})


class TestFormats:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("${x:regex}", r"(a\.b|c)"),
            ("${x:pipe}", "a.b|c"),
            ("${x:raw}", "a.b,c"),
            ("${x:csv}", "a.b,c"),
            ("${x:queryparam}", "var-x=a.b&var-x=c"),
            ("${x:doublequote}", '"a.b","c"'),
            ("${x:text}", "a.b + c"),
        ],
    )
    def test_format(self, written: str, meant: str) -> None:
        """A format that is named goes before the data source's own."""
        assert expr(written, MANY, x=["a.b", "c"]) == meant

    def test_time(self) -> None:
        """The times of the page are milliseconds, or what a date format says."""
        assert expr("${__from} $__to") == f"{START} {END}"
        assert expr("${__to:date:iso} ${__from:date:seconds}") == "2023-11-14T23:13:20.000Z 1700000000"


class TestIntervals:
    def step(self, target: dict[str, Any], *, hours: float = 1, **more: Any) -> tuple[str, int | None]:
        model = dashboard(panel(target, **more))
        query = of_panels(model, end_ms=START + round(hours * 3_600_000))[0]
        return query.expr, query.step_ms

    def test_range(self) -> None:
        """The range is in seconds."""
        assert expr("$__range $__range_s $__range_ms ${__range}") == "3600s 3600 3600000 3600s"

    def test_interval_is_no_shorter_than_scraping(self) -> None:
        """The interval is no shorter than the interval of scraping, and the rate's is four times that."""
        assert self.step({"expr": "[$__interval] $__interval_ms [$__rate_interval]"}) == ("[5s] 5000 [20s]", 5000)

    def test_interval_of_a_long_range(self) -> None:
        """A long range has a point a pixel, rounded, and the rate's interval is one interval of scraping longer."""
        assert self.step({"expr": "[$__interval] [${__rate_interval}]"}, hours=24) == ("[1m] [1m5s]", 60_000)

    def test_max_data_points(self) -> None:
        """A panel that wants fewer points has longer intervals."""
        assert self.step({"expr": "[$__interval]"}, hours=24, maxDataPoints=24) == ("[1h]", 3_600_000)

    def test_panel_minimum(self) -> None:
        """The shortest interval of a panel holds for its queries."""
        assert self.step({"expr": "[$__interval] [$__rate_interval]"}, interval="1m") == ("[1m] [1m5s]", 60_000)

    def test_minimum_step(self) -> None:
        """The shortest step of a query counts as the interval of scraping."""
        assert self.step({"expr": "[$__interval] [$__rate_interval]", "interval": "30s"}) == ("[30s] [2m0s]", 30_000)

    def test_step_of_the_rate(self) -> None:
        """A step may be the rate's interval."""
        assert self.step({"expr": "[$__rate_interval]", "interval": "$__rate_interval"}) == ("[20s]", 20_000)

    def test_loki(self) -> None:
        """Loki's intervals know nothing of scraping; $__auto is the step, or the range of an instant query."""
        both = dashboard(
            panel({"expr": "[$__interval] [$__auto]"}, LOKI), panel({"expr": "[$__auto]", "queryType": "instant"}, LOKI)
        )
        assert [query.expr for query in of_panels(both)] == ["[5s] [5s]", "[3600s]"]

    def test_alignment(self) -> None:
        """A range is in whole steps, and an instant is the end itself."""
        model = dashboard(panel({"expr": "m", "interval": "7s"}), panel({"expr": "m", "instant": True}))
        whole, instant = of_panels(model)
        assert (whole.start_ms % 7000, whole.end_ms % 7000, whole.kind) == (0, 0, "range")
        assert (instant.end_ms, instant.kind) == (END, "instant")

    def test_both(self) -> None:
        """A query that is an instant and a range is two queries."""
        model = dashboard(panel({"expr": "m", "instant": True, "range": True, "format": "table"}))
        assert [(query.ref_id, query.kind, query.format) for query in of_panels(model)] == [
            ("A-Instant", "instant", "table"),
            ("A", "range", "table"),
        ]


class TestServers:
    def test_loki(self) -> None:
        """Loki's several values are escaped and joined without parentheses."""
        assert expr('{l=~"$x"}', MANY, datasource=LOKI, x=["a.b", "c"]) == r'{l=~"a\\.b|c"}'
        assert expr("""{l="$x"} |= "it's" """, custom(), datasource=LOKI, x="a'b") == """{l="a'b"} |= "it's" """

    def test_legend(self) -> None:
        """A legend has its variables put in, and its labels left."""
        for source in (PROMETHEUS, LOKI):
            model = dashboard(panel({"expr": "m", "legendFormat": "{{l}} $x"}, source), variables=[custom()])
            assert of_panels(model)[0].query["legendFormat"] == "{{l}} a"

    def test_jaeger_trace(self) -> None:
        """Jaeger's query for one trace has the trace's id."""
        model = dashboard(panel({"query": " $x "}, JAEGER), variables=[custom(query="0af7")])
        (query,) = of_panels(model)
        assert (query.query["query"], query.kind) == ("0af7", "traceId")

    def test_jaeger_search(self) -> None:
        """Jaeger's search has every field interpolated; several values are braced, which Jaeger does not know."""
        target = {
            "queryType": "search",
            "service": "$x",
            "operation": "$x",
            "tags": "k=$x m=${y}",
            "minDuration": "${x}s",
        }
        model = dashboard(panel(target, JAEGER), variables=[custom(query="1"), custom("y", multi=True)])
        (query,) = of_panels(model, variables={"y": ["a", "b"]})
        assert query.kind == "search"
        fields = [query.query[name] for name in ("service", "operation", "tags", "minDuration")]
        assert fields == ["1", "1", "k=1 m={a,b}", "1s"]

    def test_datasource_variable(self) -> None:
        """A data source may be a variable."""
        variable = {"type": "datasource", "name": "ds", "query": "loki", "current": {}}
        model = dashboard(panel({"expr": "m"}, {"type": "loki", "uid": "${ds}"}), variables=[variable])
        assert of_panels(model)[0].datasource_uid == "loki"

    def test_unknown_datasource(self) -> None:
        """A data source that is not provisioned is refused."""
        with pytest.raises(GrafanaError, match="no data source is provisioned as"):
            expr("m", datasource={"type": "prometheus", "uid": "other"})

    def test_target_of_its_own(self) -> None:
        """A query's data source goes before its panel's, and a hidden query is marked."""
        model = dashboard(
            panel({"expr": "m", "datasource": LOKI, "hide": True}, {"uid": "-- Mixed --", "type": "datasource"})
        )
        (query,) = of_panels(model)
        assert (query.datasource_type, query.hidden) == ("loki", True)


class TestVariableQueries:
    CHAIN = (
        labels("node", 'label_values(m{dag=~"$dag"}, node)', multi=True, includeAll=True),
        labels("dag", "label_values(m, dag)", multi=True, includeAll=True),
    )

    def test_request(self) -> None:
        """A variable's query asks Prometheus for the values of a label."""
        (query,) = queries(dashboard(variables=[self.CHAIN[1]]))
        (request,) = query.requests
        assert (query.of, query.name, query.query) == ("variable", "dag", {"query": "label_values(m, dag)"})
        assert (request.method, request.path, request.params["match[]"]) == ("GET", "api/v1/label/dag/values", "m")

    def test_chain(self) -> None:
        """A variable's query has the values of the variable that it uses, wherever that stands."""
        node, _ = queries(dashboard(variables=list(self.CHAIN)), variables={"dag": ["a.b", "c"]})
        assert node.requests[0].params["match[]"] == r'm{dag=~"(a\\.b|c)"}'

    def test_answers_are_options(self) -> None:
        """What the server answered becomes the options, and all of them become all."""
        model = dashboard(panel({"expr": "$dag"}), variables=[self.CHAIN[1]])
        assert of_panels(model, answers={"dag": ["b", "a"]})[0].expr == "(b|a)"

    def test_sort_and_regex(self) -> None:
        """The options are cut out by the regular expression and sorted."""
        variable = {**self.CHAIN[1], "regex": "/^flow-(.*)$/", "sort": 1}
        model = dashboard(panel({"expr": "$dag"}), variables=[variable])
        assert of_panels(model, answers={"dag": ["flow-b", "flow-a", "other"]})[0].expr == "(a|b)"

    def test_query_result(self) -> None:
        """A query for a result makes a line of each series."""
        variable = labels("x", "query_result(up == 1)", regex='/job="(.*?)"/')
        answer = {"resultType": "vector", "result": [{"metric": {"job": "j"}, "value": [1, "1"]}]}
        model = dashboard(panel({"expr": "$x"}), variables=[variable])
        asked, query = queries(model, answers={"x": answer})
        assert (asked.requests[0].params["query"], query.expr) == ("up == 1", "j")

    def test_loki(self) -> None:
        """Loki's query for the values of a label asks with the stream selector."""
        query = {"type": 1, "label": "l", "stream": '{a=~"$dag"}', "refId": "v"}
        variable = {"type": "query", "name": "x", "datasource": LOKI, "query": query, "current": {}}
        model = dashboard(panel({"expr": "$x"}, LOKI), variables=[variable, self.CHAIN[1]])
        asked, _, panels = queries(model, variables={"dag": ["a", "b"]}, answers={"x": ["v"]})
        assert (asked.requests[0].path, asked.requests[0].params["query"]) == (
            "loki/api/v1/label/l/values",
            '{a=~"a|b"}',
        )
        assert panels.expr == "v"

    def test_missing(self) -> None:
        """A query says which variables only a server's answer tells, also by way of another variable."""
        model = dashboard(panel({"expr": "$node"}), variables=list(self.CHAIN))
        assert of_panels(model)[0].missing == ("dag", "node")
        assert of_panels(model, variables={"dag": "a", "node": "b"})[0].missing == ()
        assert of_panels(model, answers={"dag": ["a"], "node": ["b"]})[0].missing == ()

    def test_cycle(self) -> None:
        """Variables that need one another are refused."""
        both = [labels("x", "label_values(m{a=~'$y'}, x)"), labels("y", "label_values(m{a=~'$x'}, y)")]
        with pytest.raises(GrafanaError, match="x, y need one another"):
            queries(dashboard(variables=both))


class TestPlaces:
    def test_annotation(self) -> None:
        """An annotation's query is interpolated as a panel's is, in either of the forms that it may have."""
        listed = [
            {"name": "old", "datasource": PROMETHEUS, "enable": True, "expr": "$x"},
            {"name": "new", "datasource": LOKI, "enable": True, "target": {"refId": "Anno", "expr": '{a="$x"}'}},
            {"name": "off", "datasource": LOKI, "enable": False, "expr": "$x"},
            {
                "name": "built in",
                "builtIn": 1,
                "datasource": {"type": "grafana", "uid": "-- Grafana --"},
                "enable": True,
            },
        ]
        found = queries(dashboard(variables=[custom()], annotations={"list": listed}))
        assert [(query.of, query.name, query.expr) for query in found] == [
            ("annotation", "old", "a"),
            ("annotation", "new", '{a="a"}'),
        ]

    def test_repeated_panel(self) -> None:
        """A repeated panel has a query for each value, escaped as the variable is."""
        model = dashboard(panel({"expr": '{l=~"$x"}'}, title="of $x", repeat="x"), variables=[MANY])
        assert [(query.name, query.expr, query.repeat) for query in of_panels(model, variables={"x": ALL})] == [
            ("of a.b", r'{l=~"a\\.b"}', {"x": "a.b"}),
            ("of c", '{l=~"c"}', {"x": "c"}),
        ]

    def test_repeated_row(self) -> None:
        """A repeated row repeats its panels, and a folded one only those inside it."""
        row = {"type": "row", "title": "row", "repeat": "x", "panels": []}
        opened = dashboard(row, panel({"expr": "$x"}), variables=[MANY])
        assert [query.expr for query in of_panels(opened)] == [r"a\\.b", "c"]
        folded = dashboard(
            {**row, "collapsed": True, "panels": [panel({"expr": "$x"})]}, panel({"expr": "1"}), variables=[MANY]
        )
        assert [query.expr for query in of_panels(folded)] == [r"a\\.b", "c", "1"]

    def test_title(self) -> None:
        """A title has its variables put in."""
        assert of_panels(dashboard(panel({"expr": "m"}, title="of $x"), variables=[custom()]))[0].name == "of a"

    def test_links(self) -> None:
        """Links have variables and the time range put in, and what only a click knows left in."""
        override = {
            "matcher": {"id": "byName", "options": "f"},
            "properties": [{"id": "links", "value": [{"title": "o", "url": "$x"}]}],
        }
        defaults = {"links": [{"title": "f", "url": '/d/x?v=${__data.fields["x"]}&w=${__value.raw}'}]}
        model = dashboard(
            panel(
                {"expr": "m"},
                links=[{"title": "p", "url": "/d/x?${x:queryparam}"}],
                fieldConfig={"defaults": defaults, "overrides": [override]},
            ),
            variables=[MANY],
            links=[{"title": "of $x", "url": "/d/x?${__url_time_range}"}],
        )
        (found,) = read([model], start_ms=START, end_ms=END, variables={"d": {"x": ["a.b", "c"]}})
        assert [(link.of, link.title, link.url) for link in found.links] == [
            (
                "dashboard",
                "of {a.b,c}",
                "/d/x?from=2023-11-14T22:13:20.000Z&to=2023-11-14T23:13:20.000Z&timezone=browser",
            ),
            ("panel", "p", "/d/x?var-x=a.b&var-x=c"),
            ("panel", "f", '/d/x?v=${__data.fields["x"]}&w=${__value.raw}'),
            ("panel", "o", "{a.b,c}"),
        ]

    def test_time_of_its_own(self) -> None:
        """A panel with a time of its own is refused, because it is not known here."""
        with pytest.raises(GrafanaError, match="a time of its own"):
            queries(dashboard(panel({"expr": "m"}, timeFrom="1h")))


def answer(data: Any, target: dict[str, Any] | None = None, datasource: dict[str, str] = PROMETHEUS) -> Answer:
    (query,) = of_panels(dashboard(panel({"expr": "m", **(target or {})}, datasource)))
    return Answer(query, data)


def vector(*series: tuple[dict[str, str], str]) -> dict[str, Any]:
    return {
        "resultType": "vector",
        "result": [{"metric": metric, "value": [1700000000, value]} for metric, value in series],
    }


TABLE = {"instant": True, "format": "table"}
NODES = vector(({"node": "b"}, "2"), ({"node": "a"}, "1"))
MOMENT = 1_700_000_000_000


class TestFrames:
    def test_table(self) -> None:
        """An instant vector as a table has time, labels and value, of one row a series."""
        (frame,) = transform([answer(NODES, TABLE)])
        assert frame.rows() == [{"Time": MOMENT, "node": "b", "Value": 2}, {"Time": MOMENT, "node": "a", "Value": 1}]
        assert [field.type for field in frame.fields] == ["time", "string", "number"]

    def test_several_tables(self) -> None:
        """Several tables of a panel have values of different names."""
        frames = transform([answer(NODES, TABLE), answer(NODES, {**TABLE, "refId": "B"})])
        assert [frame.fields[-1].name for frame in frames] == ["Value #A", "Value #B"]

    def test_series(self) -> None:
        """A range is a frame a series, whose value has the labels and is called by them or by the legend."""
        matrix = {
            "resultType": "matrix",
            "result": [{"metric": {"__name__": "m", "l": "v"}, "values": [[1.5, "1"], [2, "+Inf"]]}],
        }
        (frame,) = transform([answer(matrix)])
        time, value = frame.fields
        assert (time.values, value.values) == ([1500, 2000], [1, math.inf])
        assert (value.labels, value.name) == ({"__name__": "m", "l": "v"}, 'm{l="v"}')
        (named,) = transform([answer(matrix, {"legendFormat": "the {{ l }}"})])
        assert named.fields[1].name == "the v"

    def test_not_a_number(self) -> None:
        """What is not a number comes back as it is."""
        (frame,) = transform([answer(vector(({}, "NaN")), TABLE)])
        assert math.isnan(frame.rows()[0]["Value"])

    def test_logs(self) -> None:
        """A line of a log has its labels as an object, its time twice, an id, and what is derived from it."""
        streams = {
            "resultType": "streams",
            "result": [{"stream": {"s": "x", "trace_id": "t"}, "values": [["1700000000000000001", "line"]]}],
        }
        (frame,) = transform([answer(streams, datasource=LOKI)])
        (row,) = frame.rows()
        assert row.pop("id").startswith("1700000000000000001_")
        line = {"labels": {"s": "x", "trace_id": "t"}, "Time": MOMENT, "Line": "line", "tsNs": "1700000000000000001"}
        assert row == {**line, "Trace": "t", "Hamilton UI": None}

    def test_categorized_logs(self) -> None:
        """Structured metadata that Loki answers apart is among the labels, with their kinds beside them."""
        value = ["1700000000000000001", "line", {"structuredMetadata": {"m": "1"}, "parsed": {"p": "2"}}]
        streams = {
            "resultType": "streams",
            "encodingFlags": ["categorize-labels"],
            "result": [{"stream": {"s": "x"}, "values": [value]}],
        }
        (row,) = transform([answer(streams, datasource=LOKI)])[0].rows()
        assert row["labels"] == {"m": "1", "p": "2", "s": "x"}
        assert row["labelTypes"] == {"m": "S", "p": "P", "s": "I"}

    def test_loki_metric(self) -> None:
        """Loki's instant vector is a table whose value is called after the query."""
        (frame,) = transform([answer(NODES, {"queryType": "instant"}, LOKI)])
        assert frame.rows()[0] == {"Time": MOMENT, "node": "b", "Value #A": 2}

    def test_trace(self) -> None:
        """A trace is a row a span, in milliseconds, with its parent and service."""
        span: dict[str, Any] = {
            "traceID": "t",
            "operationName": "o",
            "processID": "p1",
            "logs": [],
            "tags": [],
            "warnings": None,
        }
        spans = [
            {**span, "spanID": "1", "references": [], "startTime": 1_700_000_000_000_500, "duration": 1500},
            {
                **span,
                "spanID": "2",
                "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "1"}],
                "startTime": 0,
                "duration": 0,
            },
        ]
        data = [{"traceID": "t", "spans": spans, "processes": {"p1": {"serviceName": "s", "tags": []}}}]
        (frame,) = transform([answer(data, {"query": "t"}, JAEGER)])
        first, second = frame.rows()
        assert (first["startTime"], first["duration"], first["parentSpanID"], first["serviceName"]) == (
            MOMENT + 0.5,
            1.5,
            None,
            "s",
        )
        assert second["parentSpanID"] == "1"
        (found,) = transform([answer(data, {"queryType": "search", "service": "s"}, JAEGER)])
        assert found.rows() == [{"Trace ID": "t", "Trace name": "s: o", "Start time": 0, "Duration": 0}]


def frame(ref_id: str = "A", **columns: list[Any]) -> Frame:
    kinds: dict[type, str] = {str: "string", dict: "other"}
    return Frame(
        ref_id, [Field(name, kinds.get(type(values[0]), "number"), values) for name, values in columns.items()]
    )


class TestTransformations:
    def apply(
        self, identifier: str, options: dict[str, Any], *frames: Frame, **more: Any
    ) -> list[list[dict[str, Any]]]:
        return [one.rows() for one in transform(frames, [{"id": identifier, "options": options, **more}])]

    def test_merge_and_organize(self) -> None:
        """Tables are merged by what they have in common, and columns are left out, sorted and renamed."""
        steps = [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {"Value #A": 0},
                    "renameByName": {"Value #A": "n"},
                },
            },
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "n"}]}},
        ]
        (done,) = transform([answer(NODES, TABLE), answer(NODES, {**TABLE, "refId": "B"})], steps)
        assert done.rows() == [{"n": 1, "node": "a", "Value #B": 1}, {"n": 2, "node": "b", "Value #B": 2}]

    def test_join(self) -> None:
        """Frames are joined by a field."""
        left, right = frame(k=["x", "y"], a=[1, 2]), frame("B", k=["x"], b=[3])
        (rows,) = self.apply("joinByField", {"byField": "k", "mode": "outer"}, left, right)
        assert rows == [{"k": "x", "a": 1, "b": 3}, {"k": "y", "a": 2, "b": None}]

    def test_group(self) -> None:
        """Rows are grouped and what is in a group is calculated."""
        fields = {
            "k": {"operation": "groupby", "aggregations": []},
            "a": {"operation": "aggregate", "aggregations": ["sum"]},
        }
        (rows,) = self.apply("groupBy", {"fields": fields}, frame(k=["x", "x"], a=[1, 2]))
        assert rows == [{"k": "x", "a (sum)": 3}]

    def test_calculate(self) -> None:
        """A field is calculated of two others."""
        options = {"mode": "binary", "binary": {"left": "a", "operator": "/", "right": "b"}, "alias": "c"}
        assert self.apply("calculateField", options, frame(a=[6], b=[3])) == [[{"a": 6, "b": 3, "c": 2}]]

    def test_reduce(self) -> None:
        """A frame is reduced to a row a field."""
        (rows,) = self.apply("reduce", {"reducers": ["max"]}, frame(a=[1, 2], b=[3, 4]))
        assert rows == [{"Field": "a", "Max": 2}, {"Field": "b", "Max": 4}]

    def test_rename_and_filter(self) -> None:
        """Fields are renamed and chosen by regular expressions; one without slashes has to match the whole name."""
        renamed = self.apply("renameByRegex", {"regex": "(.)1", "renamePattern": "$1"}, frame(a1=[1], b=[2]))
        assert renamed == [[{"a": 1, "b": 2}]]
        chosen = self.apply("filterFieldsByName", {"include": {"pattern": "/^a/"}}, frame(a1=[1], b=[2]))
        assert chosen == [[{"a1": 1}]]
        assert self.apply("filterFieldsByName", {"include": {"pattern": "^a"}}, frame(a1=[1], b=[2])) == []

    def test_convert(self) -> None:
        """A field's type is changed."""
        options = {"conversions": [{"targetField": "a", "destinationType": "number"}]}
        assert self.apply("convertFieldType", options, frame(a=["1.5"])) == [[{"a": 1.5}]]

    def test_labels_to_fields(self) -> None:
        """Labels become fields."""
        series = Frame("A", [Field("Time", "time", [1]), Field("Value", "number", [2], {"l": "v"})])
        assert self.apply("labelsToFields", {}, series) == [[{"Time": 1, "l": "v", "Value": 2}]]

    def test_series_to_rows(self) -> None:
        """Series become rows with a metric's name."""
        series = [Frame(name, [Field("Time", "time", [1]), Field(name, "number", [2])]) for name in ("a", "b")]
        assert [row["Metric"] for row in self.apply("seriesToRows", {}, *series)[0]] == ["a", "b"]

    def test_transpose(self) -> None:
        """The first field's values become the names of the columns, and the other fields become rows."""
        (rows,) = self.apply("transpose", {"firstFieldName": "metric"}, frame(node=["x", "y"], a=[1, 2], b=[3, 4]))
        assert rows == [{"metric": "a", "x": 1, "y": 2}, {"metric": "b", "x": 3, "y": 4}]

    def test_filter_of_a_transformation(self) -> None:
        """A transformation may be for the frames of one query, and one that is off does nothing."""
        options = {"renameByName": {"a": "z"}}
        frames = frame(a=[1]), frame("B", a=[2])
        chosen = self.apply("organize", options, *frames, filter={"id": "byRefId", "options": "B"})
        assert chosen == [[{"a": 1}], [{"z": 2}]]
        assert self.apply("organize", options, frame(a=[1]), disabled=True) == [[{"a": 1}]]

    def test_extract_labels(self) -> None:
        """Ours: the fields of an object replace the others, and the time is kept where that is said."""
        lines = Frame("A", [Field("labels", "other", [{"x": "1"}, {"y": "2"}]), Field("Time", "time", [1, 2])])
        (rows,) = self.apply(
            "extractFields", {"source": "labels", "format": "json", "replace": True, "keepTime": True}, lines
        )
        assert rows == [{"Time": 1, "x": "1", "y": None}, {"Time": 2, "x": None, "y": "2"}]

    def test_extract_line(self) -> None:
        """Ours: the fields of a line of JSON come after the others; a line that is none has none."""
        (rows,) = self.apply("extractFields", {"source": "Line", "format": "json"}, frame(Line=['{"x": 1}', "text"]))
        assert rows == [{"Line": '{"x": 1}', "x": 1}, {"Line": "text", "x": None}]
        paths = {"source": "Line", "format": "json", "replace": True, "jsonPaths": [{"path": "a.b", "alias": "c"}]}
        assert self.apply("extractFields", paths, frame(Line=['{"a": {"b": 2}}'])) == [[{"c": 2}]]

    def test_unknown(self) -> None:
        """A transformation that is not known here is refused, where Grafana skips it."""
        with pytest.raises(GrafanaError, match="the transformation partitionByValues"):
            transform([frame(a=[1])], [{"id": "partitionByValues", "options": {}}])
