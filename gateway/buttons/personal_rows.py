"""Declares what buttons store of people, for whatever acts on all of it at once."""

from __future__ import annotations

from typing import Final

from gateway.app import PersonalRows
from gateway.buttons.tables import (
    active_buttons,
    button_keys,
    buttons,
    erase_button_rows,
    proven_destinations,
)
from gateway.buttons.taken_back import take_buttons_back

PERSONAL_ROWS: Final = PersonalRows(
    tables=(buttons, button_keys, proven_destinations),
    order={},
    outdated={},
    erase=erase_button_rows,
    active=active_buttons,
    take_back=take_buttons_back,
)
