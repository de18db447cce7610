"""Whole calls: browser, gateway and carrier on one virtual clock."""

import pytest

pytest.register_assert_rewrite("tests.whole_calls.world")
