"""The errors of the media package."""

from __future__ import annotations

from media.errors import FormatError, MediaError, PacketError


def test_each_error_has_a_code_of_its_own() -> None:
    codes = {MediaError: "media_error", FormatError: "bad_audio_format"}
    codes[PacketError] = "bad_media_packet"
    assert {error: error.code for error in codes} == codes


def test_one_clause_catches_the_tree() -> None:
    assert issubclass(FormatError, MediaError)
    assert issubclass(PacketError, MediaError)
