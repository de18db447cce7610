"""Settings refuse nonsense, naming the knob."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulators.mail.errors import MailSimulatorSettingsError

from .conftest import SETTINGS


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 65536},
        {"smtp_port": -1},
        {"mails_kept": 0},
        {"mail_bytes_max": 10},
        {"conversations_max": 0},
        {"silence_s_max": float("nan")},
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MailSimulatorSettingsError) as caught:
        replace(SETTINGS, **changes)
    assert [caught.value.name] == list(changes)
