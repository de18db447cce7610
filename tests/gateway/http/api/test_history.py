"""The history of calls, for operators."""

from gateway.http.api import history
from gateway.http.api.admin import AdminRoutes


class Auth:
    """Declares routes, and lets everybody in."""

    def route(self, path, handler, needs, *, method):
        self.declared = path, needs, method
        self.handler = handler
        return self.declared


async def test_the_minutes_are_shown_to_keys_of_scope_admin():
    async def read():
        return ["first", "second"]

    auth = Auth()
    assert history.history_route(AdminRoutes(auth, ()), read) == (
        "/v1/admin/live-history",
        "admin",
        "GET",
    )
    reply = await auth.handler(None, None)
    assert reply.body == b'{"minutes":["first","second"]}'
