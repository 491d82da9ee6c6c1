"""Which spans a node's span links to."""

import pytest
from hamilton_otel import links
from hamilton_otel.links import MAX_LINKS, Target, Targets
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState

WITHIN = SpanContext(1, 2, True, TraceFlags(3), TraceState([("vendor", "value")]))
ELSEWHERE = Link(SpanContext(1, 9, True))


def targets_of(*remembered: tuple[str, str | None, Target]) -> Targets:
    targets: Targets = {}
    for name, task_id, target in remembered:
        links.remember(targets, name, task_id, target)
    return targets


@pytest.mark.parametrize(
    ("task_id", "dependencies", "found"),
    [
        (None, ("a", "b"), [1, 2]),
        (None, ("b", "a"), [2, 1]),
        (None, ("unknown",), []),
        (None, (), []),
        ("t1", ("c",), [3]),
        ("t2", ("c",), [ELSEWHERE]),
        ("other", ("c",), [3, ELSEWHERE]),
        (None, ("c", "a"), [3, ELSEWHERE, 1]),
        ("t1", ("a", "c"), [1, 3]),
    ],
)
def test_a_node_links_to_what_it_reads_in_its_own_task_else_in_all(
    task_id: str | None, dependencies: tuple[str, ...], found: list[Target]
) -> None:
    """Dependencies are found in their order; those of the node's own task win over those of others."""
    targets = targets_of(("a", None, 1), ("b", None, 2), ("c", "t1", 3), ("c", "t2", ELSEWHERE))
    assert links.of_node(targets, dependencies, task_id) == found


def test_the_first_span_of_a_node_in_a_task_is_replaced_by_a_later_one() -> None:
    """A node that was executed again in its task is linked to as it was executed last."""
    assert links.of_node(targets_of(("a", "t", 1), ("a", "t", 2)), ("a",), "t") == [2]


def test_links_are_bounded() -> None:
    """Of more spans than a span may link to, the first are kept, for one dependency and for all together."""
    many = targets_of(*((name, str(number), number) for name in "ab" for number in range(2 * MAX_LINKS)))
    assert links.of_node(many, ("a", "b"), None) == list(range(MAX_LINKS))
    assert {name: len(by_task) for name, by_task in many.items()} == {"a": MAX_LINKS, "b": MAX_LINKS}


def test_a_link_is_to_a_span_of_this_process_in_the_same_trace() -> None:
    """Ids become links with the trace's id, flags and state; links stay as they are."""
    made = links.as_links([7, ELSEWHERE], WITHIN)
    assert made[1] is ELSEWHERE
    assert made[0].context == SpanContext(1, 7, False, WITHIN.trace_flags, WITHIN.trace_state)
    assert not made[0].attributes
