"""People and the site that they sign in to, as other pages are tested with."""

from tests.gateway.http.site.conftest import site
from tests.gateway.people.conftest import world

__all__ = ["site", "world"]
