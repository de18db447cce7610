"""`caller serve --role`: what is refused before anything is started."""

import pytest
from typer.testing import CliRunner

from gateway.cli import app as app_module
from gateway.errors import EXIT_SETTINGS
from gateway.roles.serve import Role


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ALL}))
def test_processes_of_several_roles_need_a_store_that_they_share(tmp_path, role):
    environ = {"CALLER_DATA_DIR": str(tmp_path / "data")}
    done = CliRunner().invoke(app_module.app, ["serve", "--role", role], obj=environ)
    assert done.exit_code == EXIT_SETTINGS
    assert "CALLER_REDIS_URL" in done.output
    assert not (tmp_path / "data").exists()


def test_a_role_that_there_is_not_is_refused(tmp_path):
    done = CliRunner().invoke(app_module.app, ["serve", "--role", "cook"], obj={})
    assert done.exit_code == EXIT_SETTINGS
