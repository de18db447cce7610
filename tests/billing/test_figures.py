"""What a figure is follows from the field that has it."""

from typing import Annotated

import msgspec
import pytest

from billing.figures import Figure, Shown, Unit, figures_of


class Record(msgspec.Struct):
    id: str
    begun: Annotated[int, Figure(Unit.SECONDS)]
    bounded: Annotated[int, msgspec.Meta(ge=0)] = 0
    echo: Annotated[int | None, msgspec.Meta(description="d"), Figure(Unit.COUNT, Shown.API)] = None
    words: Annotated[str | None, Figure(Unit.TEXT, column="said")] = None


def test_the_table_has_the_annotated_fields_in_their_order():
    figures = figures_of(Record)
    assert list(figures) == ["begun", "echo", "words"]
    assert [figure.name for figure in figures.values()] == list(figures)
    assert [figure.column for figure in figures.values()] == ["begun", "echo", "said"]
    assert [figure.is_measured for figure in figures.values()] == [False, True, True]


def test_the_type_keeps_what_msgspec_reads():
    figures = figures_of(Record)
    assert figures["echo"].type == Annotated[int | None, msgspec.Meta(description="d")]
    assert (figures["begun"].type, figures["words"].type) == (int, str | None)


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [("words", None, ""), ("words", "x", "x"), ("echo", None, None), ("echo", 0, 0)],
)
def test_a_column_of_text_is_empty_where_others_are_null(name, value, stored):
    figure = figures_of(Record)[name]
    assert figure.to_column(value) == stored
    assert figure.from_column(stored) == value
