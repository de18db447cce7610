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


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_settings_that_everyone_may_read_are_told_and_keep_nothing_from_starting(
    tmp_path, mode, log_format
):
    file = tmp_path / "caller.env"
    file.write_text(f"CALLER_DATA_DIR={tmp_path / 'data'}\n")
    file.chmod(mode)
    environ = {"CALLER_SETTINGS": str(file), "CALLER_LOG_FORMAT": log_format}
    done = CliRunner().invoke(app_module.app, ["serve", "--role", "web"], obj=environ)
    told = f"Everyone on this machine may read {file}. Set its mode to 600: it holds secrets."
    assert (told in done.output) is (mode == 0o644)
    assert "CALLER_REDIS_URL" in done.output, "what comes next is looked at"


def test_a_role_that_there_is_not_is_refused(tmp_path):
    done = CliRunner().invoke(app_module.app, ["serve", "--role", "cook"], obj={})
    assert done.exit_code == EXIT_SETTINGS
