"""Stripe's form encoding, well and badly written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.payments.errors import ApiError
from simulators.payments.form import Form, parse

from .conftest import form


def test_nested_fields_become_nested_values() -> None:
    assert parse("a=1&b[c]=2&b[d][e]=3&f[0]=x&f[1]=y&g[]=p&g[]=q&h=") == {
        "a": "1",
        "b": {"c": "2", "d": {"e": "3"}},
        "f": {"0": "x", "1": "y"},
        "g": {"0": "p", "1": "q"},
        "h": "",
    }


@pytest.mark.parametrize(
    "encoded",
    [
        "a=1&a[b]=2",
        "a[b]=2&a=1",
        "a[b=1",
        "[a]=1",
        "a]=1",
        "a" + "[b]" * 8 + "=1",
        "a=%ff",
        "&".join(f"a{n}=1" for n in range(501)),
    ],
)
def test_malformed_forms_are_refused(encoded: str) -> None:
    with pytest.raises(ApiError):
        parse(encoded)


@given(st.text(alphabet="ab[]=&%0f1 ", max_size=60))
def test_any_text_is_read_or_refused(encoded: str) -> None:
    with contextlib.suppress(ApiError):
        parse(encoded)


def test_fields_are_read_by_type() -> None:
    fields = form("n=7&yes=true&no=false&empty=&word=b&list[0]=x&list[1]=y&rows[0][k]=v&meta[a]=1")
    assert (fields.integer("n"), fields.integer("absent")) == (7, None)
    assert (fields.flag("yes"), fields.flag("no"), fields.flag("absent", default=True)) == (
        True,
        False,
        True,
    )
    assert (fields.text("empty"), fields.text("word")) == (None, "b")
    assert fields.choice("word", ("a", "b")) == "b"
    assert fields.texts("list") == ("x", "y")
    assert [row.required("k") for row in fields.items("rows")] == ["v"]
    assert fields.metadata("meta") == {"a": "1"}


@pytest.mark.parametrize(
    ("encoded", "code", "param"),
    [
        ("outer[n]=1.5", "parameter_invalid_integer", "outer[n]"),
        ("outer[n]=" + "9" * 20, "parameter_invalid_integer", "outer[n]"),
        ("outer[n][m]=1", None, "outer[n]"),
    ],
)
def test_complaints_name_the_field(encoded: str, code: str | None, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        form(encoded).below("outer").integer("n")
    error = caught.value.envelope()["error"]
    assert isinstance(error, dict)
    assert (error.get("code"), error["param"]) == (code, param)


def test_wrong_fields_are_refused() -> None:
    fields = form("flag=maybe&word=c&plain=1&list[x]=1&deep[0][a]=1&long=" + "x" * 5001)
    for read in (
        lambda: fields.flag("flag"),
        lambda: fields.choice("word", ("a", "b")),
        lambda: fields.below("plain"),
        lambda: list(fields.items("list")),
        lambda: fields.texts("deep"),
        lambda: fields.text("long"),
        lambda: fields.required("absent"),
        lambda: fields.only({"flag"}),
    ):
        with pytest.raises(ApiError):
            read()


@pytest.mark.parametrize(
    "metadata",
    [
        {str(n): "1" for n in range(51)},
        {"k" * 41: "1"},
        {"k": "v" * 501},
        {"k": {"nested": "1"}},
    ],
)
def test_metadata_is_bounded(metadata: dict[str, object]) -> None:
    with pytest.raises(ApiError):
        Form({"metadata": metadata}).metadata()  # type: ignore[dict-item]
