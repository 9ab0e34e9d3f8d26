from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from audit.metrics.page import Page
from audit.metrics.process import add_process
from vault.measures import Histogram


def test_families_are_read_back_as_they_were_added() -> None:
    page = Page("strongroom", stream="a.b")
    page.gauge("age_seconds", "Age.", ({}, 1.5))
    page.counter("things_total", "Things.", ({"op": "x"}, 3), ({"op": "y"}, 0))
    age, things = text_string_to_metric_families(page.text())
    assert (age.name, age.type, age.documentation) == ("strongroom_age_seconds", "gauge", "Age.")
    assert [(sample.labels, sample.value) for sample in age.samples] == [({"stream": "a.b"}, 1.5)]
    assert (things.name, things.type) == ("strongroom_things", "counter")
    assert [(sample.name, sample.labels, sample.value) for sample in things.samples] == [
        ("strongroom_things_total", {"stream": "a.b", "op": "x"}, 3.0),
        ("strongroom_things_total", {"stream": "a.b", "op": "y"}, 0.0),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_any_label_is_read_back_whole(text: str) -> None:
    page = Page("x", stream=text)
    page.gauge("y", "Y.", ({}, 1))
    (family,) = text_string_to_metric_families(page.text())
    assert family.samples[0].labels == {"stream": text}


@given(st.lists(st.floats(0, 20)))
def test_a_histogram_counts_upwards_to_its_count(values: list[float]) -> None:
    histogram = Histogram((0.5, 1, 8))
    for value in values:
        histogram.add(value)
    page = Page("x")
    page.histogram("took_seconds", "Took.", ({"op": "a"}, histogram))
    (family,) = text_string_to_metric_families(page.text())
    assert family.type == "histogram"
    found = {(sample.name, sample.labels.get("le", "")): sample.value for sample in family.samples}
    for bound, text in ((0.5, "0.5"), (1, "1.0"), (8, "8.0"), (100, "+Inf")):
        assert found.pop(("x_took_seconds_bucket", text)) == sum(value <= bound for value in values)
    assert found == {("x_took_seconds_count", ""): len(values), ("x_took_seconds_sum", ""): histogram.sum}
    assert all(sample.labels["op"] == "a" for sample in family.samples)


def test_the_process_has_the_names_that_every_exporter_gives_it() -> None:
    page = Page("process")
    add_process(page)
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(page.text())}
    assert found.keys() == {
        "process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
        "process_start_time_seconds",
    }  # fmt: skip
    assert 0 < found["process_open_fds"] <= found["process_max_fds"]
    assert found["process_resident_memory_bytes"] > 1 << 20
