"""People and the site that they sign in to, and programs, as other pages are tested with."""

from tests.gateway.http.conftest import client_of
from tests.gateway.http.site.conftest import site
from tests.gateway.people.conftest import world

__all__ = ["client_of", "site", "world"]
