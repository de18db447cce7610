"""Why payments move credit: every sentence of the ledger has its words in each language."""

import pytest

from billing.payment_reasons import DISPUTE_WON_REASON, KEYS, dispute_reasons
from gateway.http.site.words import WORDS
from simulators.payments.disputes import REASONS


def test_every_code_has_a_sentence_and_an_unknown_one_says_no_more_than_is_known():
    plain = "The payment was disputed at the card's bank."
    for code in ("", "general", "a_new_one"):
        assert dispute_reasons(code) == (plain, DISPUTE_WON_REASON)
    said = {code: dispute_reasons(code)[0] for code in REASONS}
    assert said["fraudulent"].startswith(plain[:-1] + ": ")
    assert set(said.values()) <= KEYS.keys()


@pytest.mark.parametrize("language", sorted(WORDS))
def test_each_sentence_has_words(language):
    named = {key for key in WORDS[language] if key.startswith("payment_reason.")}
    assert named == {f"payment_reason.{key}" for key in KEYS.values() if key}
