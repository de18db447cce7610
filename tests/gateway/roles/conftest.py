"""Nodes begin on migrated books, and on settings of their own."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _begins_on_migrated_books(migrated_books: None) -> None:
    """Spare each test the migrations."""


@pytest.fixture
def environ(tmp_path: Path, valkey_url: str) -> dict[str, str]:
    """Settings of a node whose services are away, but for Valkey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CALLER_")} | {
        "CALLER_PORT": "0",
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "CALLER_TWILIO_AUTH_TOKEN": "secret",
        "CALLER_CALLER_ID": "+15005550006",
        "CALLER_CARRIER_URL": "http://127.0.0.1:9",
        "CALLER_STRIPE_API_KEY": "sk_test_node",
        "CALLER_STRIPE_WEBHOOK_SECRETS": "whsec_node",
        "CALLER_STRIPE_URL": "http://127.0.0.1:9",
    }
