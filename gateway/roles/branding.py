"""Reads the branding of the service from the settings."""

from __future__ import annotations

from pathlib import Path

from gateway import regular_files
from gateway.errors import SettingsError
from gateway.http.site.branding import LOGO_BYTES_MAX, Branding, Logo, LogoError, read_logo
from gateway.settings import Settings


def load_branding(settings: Settings) -> Branding:
    """Return the branding. Raises SettingsError for a logo that cannot be shown."""
    return Branding(
        service=settings.service_name,
        contact=settings.contact_email,
        operator=settings.operator,
        address=settings.operator_address,
        logo=_logo(settings.logo),
        accents=settings.accent_colours,
    )


def _logo(file: str) -> Logo | None:
    if not file:
        return None
    try:
        return read_logo(regular_files.read(Path(file), LOGO_BYTES_MAX))
    except regular_files.NotRegularError:
        text = "CALLER_LOGO does not name a regular file, so it cannot be read."
        raise SettingsError(text) from None
    except LogoError as error:
        raise SettingsError(f"CALLER_LOGO names a file that {error}.") from None
    except OSError as error:
        raise SettingsError("CALLER_LOGO names a file that cannot be read.") from error
