"""Words in all languages are read from files, and each language has the default's."""

import pytest

from gateway.words.languages import DEFAULT_LANGUAGE, read_words


@pytest.mark.parametrize("package", ["gateway.http.site", "gateway.words"])
def test_each_language_has_the_same_words(package):
    words = read_words(package)
    assert set(words) == {"de", "en", "es"}
    assert all(set(each) == set(words[DEFAULT_LANGUAGE]) for each in words.values())
