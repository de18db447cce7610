"""Reads secrets from files: `CALLER_X_FILE` names the file that holds the value of `CALLER_X`.

Docker, Kubernetes and systemd pass secrets as files, so that neither an environment nor a
command line contains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway import regular_files
from gateway.errors import SettingsError
from gateway.settings import SECRET_FILES

BYTES_MAX: Final = 16 * 1024
"""Per secret; several webhook keys are in one file, separated by commas."""


def filled(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with each secret in place of the variable that names its file.

    Raises SettingsError, which names the variable, but neither the file nor its content: somebody
    may have put the secret itself where a file name belongs.
    """
    read = dict(environ)
    # Sorted, so that of several faults the same one is reported each time.
    for name, variable in sorted(SECRET_FILES.items()):
        # Empty means not set, as everywhere in settings.
        if not (file := read.pop(variable, "").strip()):
            continue
        if environ.get(name, "").strip():
            raise SettingsError(f"{name} and {variable} are both set. Unset one of them.")
        read[name] = _read(variable, Path(file))
    return read


def _read(variable: str, file: Path) -> str:
    try:
        data = regular_files.read(file, BYTES_MAX)
    except regular_files.NotRegularError:
        raise SettingsError(f"{variable} does not name a file.") from None
    except (OSError, ValueError) as error:
        # A name with a NUL byte in it is a ValueError.
        why = getattr(error, "strerror", None) or "that is not a valid file name"
        raise SettingsError(f"{variable} names a file that cannot be read: {why}.") from None
    if len(data) > BYTES_MAX:
        raise SettingsError(f"{variable} names a file of more than {BYTES_MAX} bytes: no secret.")
    try:
        # Some editors begin a file with a byte order mark.
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{variable} names a file that is not written in UTF-8.") from None
    if not text:
        raise SettingsError(f"{variable} names an empty file. Write the secret into it.")
    if not text.isprintable():
        raise SettingsError(f"{variable} must name a file with the secret alone, in one line.")
    return text
