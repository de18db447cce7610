"""Whose service it is, from the settings: each fault names the setting."""

import pytest

from gateway.errors import SettingsError
from gateway.roles.branding import load_branding
from gateway.roles.preflight import branding
from gateway.settings import Settings
from gateway.settings_variables import from_mapping


def test_all_that_is_set_is_shown(tmp_path):
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    read = load_branding(
        from_mapping(
            {
                "CALLER_SERVICE_NAME": "Calls",
                "CALLER_OPERATOR": "Example & Sons",
                "CALLER_OPERATOR_ADDRESS": "1 High Street, London",
                "CALLER_LOGO": str(logo),
                "CALLER_ACCENT_COLOURS": "#7a1fa2,#e2b6ff",
            }
        )
    )
    assert (read.operator, read.address) == ("Example & Sons", "1 High Street, London")
    assert read.logo.media_type == "image/svg+xml"
    assert read.accents == ("#7a1fa2", "#e2b6ff")
    assert load_branding(Settings()).logo is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/dev/null", "does not name a regular file"),
        ("missing.png", "cannot be read"),
        ("text.png", "neither PNG nor SVG"),
    ],
)
def test_a_logo_that_cannot_be_shown_is_refused(tmp_path, name, why):
    (tmp_path / "text.png").write_text("a logo")
    settings = Settings(logo=str(tmp_path / name))
    with pytest.raises(SettingsError, match=f"CALLER_LOGO.*{why}"):
        load_branding(settings)
    (finding,) = branding(settings)
    assert finding.is_fatal
    assert branding(Settings()) == []


def test_colours_that_are_too_faint_are_refused_with_the_figures():
    with pytest.raises(SettingsError, match=r"CALLER_ACCENT_COLOURS must have.*4\.48:1"):
        from_mapping({"CALLER_ACCENT_COLOURS": "#777777,#8ab6ff"})


def test_an_address_needs_somebody():
    with pytest.raises(SettingsError, match="needs CALLER_OPERATOR"):
        from_mapping({"CALLER_OPERATOR_ADDRESS": "1 High Street"})
