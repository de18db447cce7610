"""What handlers declare: true when the module is imported, and all that their routes are."""

import msgspec
import pytest
from starlette.responses import PlainTextResponse

from gateway.http.access import Access
from gateway.http.operation import ApiRoute, Once, handlers_of, operation, operations_of
from gateway.scopes import Scope


class Thing(msgspec.Struct):
    """A thing."""

    name: str


class Things:
    @operation("GET /v1/things", Scope.RECORDS, Thing, gives={"name": "/name"})
    async def list_things(self, _request):
        """Return all things.

        There are few.
        """
        return PlainTextResponse("all")

    @operation("DELETE /v1/things/{name}", Access.KEY, problems=("not_found",), step_up=True)
    async def delete_thing(self, _request):
        """Delete it."""

    async def helper(self):
        """Declare nothing."""


def test_an_operation_is_named_after_its_handler_and_told_by_its_docstring():
    listed, deleted = operations_of(Things)
    assert (listed.name, listed.method, listed.path) == ("list_things", "GET", "/v1/things")
    assert listed.text == "Return all things.\n\nThere are few."
    assert (listed.status, deleted.status) == (200, 204)
    assert (listed.once, deleted.problems) == (Once.NO, ("not_found",))
    assert (listed.gives, deleted.gives) == ({"name": "/name"}, {})
    assert (listed.path_parameters, deleted.path_parameters) == ([], ["name"])


def test_the_handlers_of_an_object_are_its_own():
    things = Things()
    (first, handler), _ = handlers_of(things)
    assert (first.name, handler) == ("list_things", things.list_things)


def test_a_route_is_as_its_operation_declares():
    _, (deleted, handler) = handlers_of(Things())
    route = ApiRoute(handler, deleted)
    assert (route.path, route.methods) == ("/v1/things/{name}", {"DELETE"})
    assert (route.needs, route.step_up, route.operation) == (Access.KEY, True, deleted)


@pytest.mark.parametrize(
    ("request_line", "options", "said"),
    [
        ("/v1/things", {}, "no method"),
        ("FETCH /v1/things", {}, "no method"),
        ("GET /things", {}, "no method and path below /v1/"),
        ("GET /v1/things", {"body": Thing}, "has no body"),
        ("GET /v1/things", {"problems": ("gone_fishing",)}, "gone_fishing"),
        ("GET /v1/things", {"gives": {"name": "name"}}, "no JSON pointer"),
    ],
)
def test_what_cannot_be_true_is_refused(request_line, options, said):
    with pytest.raises(ValueError, match=said):
        operation(request_line, Access.KEY, **options)
