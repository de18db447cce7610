"""Signatures, with Twilio's own validator as the judge of what Twilio would have sent."""

import base64
import hmac
from hashlib import sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData
from twilio.request_validator import RequestValidator

from gateway.carriers.twilio.markup import WEBHOOK_OVERRIDES
from gateway.carriers.twilio.signature import TwilioSignatureVerifier

TOKEN = "12345"
WEBHOOK = "https://calls.example.com/n/n1/twilio/status/c1"
MEDIA = "wss://calls.example.com/n/n1/media/carrier"
FORM = {"CallSid": "CA1", "CallStatus": "ringing", "From": "+15005550006", "Digits": ""}
SHARED_KEY = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"

verifier = TwilioSignatureVerifier([TOKEN])


def sign(url, form=None, hash_function=sha1, token=TOKEN):
    """Return a signature, made from Twilio's description of it alone."""
    text = url + "".join(name + value for name, value in sorted((form or {}).items()))
    return base64.b64encode(
        hmac.new(token.encode(), text.encode(), hash_function).digest()
    ).decode()


def test_the_example_of_the_manual_is_genuine():
    """Twilio, "Webhooks security": the worked example."""
    url = "https://example.com/myapp.php?foo=1&bar=2"
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    assert verifier.verify(url, form, sign(url, form))
    assert RequestValidator(TOKEN).validate(url, form, sign(url, form))


@pytest.mark.parametrize(
    "url",
    [
        WEBHOOK,
        WEBHOOK + "?bodySHA=1&x=%20",
        MEDIA,
        "http://127.0.0.1:8080/n/n1/twilio/status/c1",
        "wss://127.0.0.1:8080/n/n1/media/carrier",
        "https://calls.example.com:8443/a",
        "https://[2001:db8::1]/a",
        "https://[2001:db8::1]:8443/a",
    ],
)
def test_what_twilio_signs_is_genuine(url):
    assert verifier.verify(url, FORM, RequestValidator(TOKEN).compute_signature(url, FORM))
    assert verifier.verify(url, {}, RequestValidator(TOKEN).compute_signature(url, {}))


@pytest.mark.parametrize(
    ("ours", "signed"),
    [
        ("https://calls.example.com/a", "https://calls.example.com:443/a"),
        ("https://calls.example.com:443/a", "https://calls.example.com/a"),
        ("wss://calls.example.com/a", "wss://calls.example.com:443/a"),
        ("wss://calls.example.com:443/a", "wss://calls.example.com/a"),
        ("http://calls.example.com/a", "http://calls.example.com:80/a"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]:443/a"),
        ("https://calls.example.com:8443/a", "https://calls.example.com/a"),
        ("wss://calls.example.com:8443/a", "wss://calls.example.com/a"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1/a"),
        ("https://[2001:db8::1]:8443/a", "https://[2001:db8::1]/a"),
    ],
)
def test_the_port_may_be_signed_or_not(ours, signed):
    """Twilio drops it from https callbacks, also one that is not the default."""
    assert verifier.verify(ours, FORM, sign(signed, FORM))


def test_our_fragment_may_be_signed_or_not():
    """Twilio does not say whether connection overrides are part of what it signs."""
    assert verifier.verify(WEBHOOK, FORM, sign(WEBHOOK + WEBHOOK_OVERRIDES, FORM))
    assert not verifier.verify(WEBHOOK, FORM, sign(WEBHOOK + "#rc=5", FORM))


@pytest.mark.parametrize(
    ("ours", "signed"),
    [
        (WEBHOOK, WEBHOOK + "x"),
        (WEBHOOK, WEBHOOK + "?a=1"),
        (WEBHOOK, WEBHOOK.replace("https", "http")),
        (MEDIA, MEDIA.replace("wss", "https")),
        ("https://calls.example.com:8443/a", "https://calls.example.com:443/a"),
        ("https://calls.example.com:8443/a", "https://calls.example.com:8444/a"),
        ("https://calls.example.com/a", "https://calls.example.com:8443/a"),
        ("http://calls.example.com/a", "http://calls.example.com:443/a"),
    ],
)
def test_another_address_is_forged(ours, signed):
    assert not verifier.verify(ours, FORM, sign(signed, FORM))


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "CallStatus": "completed"},
        {**FORM, "Extra": "1"},
        {name: FORM[name] for name in ("CallSid", "CallStatus")},
        {},
    ],
)
def test_another_form_is_forged(form):
    assert not verifier.verify(WEBHOOK, form, sign(WEBHOOK, FORM))


def test_another_accounts_signature_is_forged():
    assert not verifier.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM, token="54321"))


def test_repeated_fields_count_once_each_value_and_in_any_order():
    form = FormData([("a", "2"), ("b", "3"), ("a", "1"), ("a", "2")])
    assert verifier.verify(WEBHOOK, form, sign(WEBHOOK + "a1a2b3"))
    assert not verifier.verify(WEBHOOK, form, sign(WEBHOOK + "a2b3"))


@pytest.mark.parametrize("secret", ["new", "old"])
def test_a_shared_key_signs_with_its_own_secret(secret):
    rotating = TwilioSignatureVerifier([TOKEN], ["new", "old"])
    signature = sign(WEBHOOK, FORM, sha256, secret)
    assert RequestValidator(secret).validate(WEBHOOK, FORM, signature, "HMAC_SHA256")
    assert rotating.verify(WEBHOOK, FORM, signature, SHARED_KEY)
    assert not rotating.verify(WEBHOOK, FORM, signature), "without the header the token signs"
    assert not rotating.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM, sha1, secret), SHARED_KEY)
    assert not verifier.verify(WEBHOOK, FORM, signature, SHARED_KEY), "no such key is set here"


@pytest.mark.parametrize("hash_function", [sha1, sha256])
def test_the_token_does_not_stand_in_for_a_shared_key(hash_function):
    rotating = TwilioSignatureVerifier([TOKEN], ["new"])
    signature = sign(WEBHOOK, FORM, hash_function)
    for each in (verifier, rotating):
        assert not each.verify(WEBHOOK, FORM, signature, SHARED_KEY)


def test_the_token_signs_as_before_beside_shared_keys():
    rotating = TwilioSignatureVerifier([TOKEN], ["new"])
    assert rotating.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM))
    assert not rotating.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM, token="new"))


@pytest.mark.parametrize("settings", ["algorithm=HMAC_MD5", "algorithm=none", "algorithm=\udcff"])
def test_an_algorithm_that_is_none_is_forged(settings):
    assert not verifier.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM), settings)


@pytest.mark.parametrize("settings", ["", "key=", "algorithm=", ",,=,", "algorithm"])
def test_settings_without_an_algorithm_mean_the_first_one(settings):
    assert verifier.verify(WEBHOOK, FORM, sign(WEBHOOK, FORM), settings)


@pytest.mark.parametrize("signature", [None, "", " ", "=", "é", "\udcff", "A" * 10_000])
def test_no_signature_or_a_strange_one_is_forged(signature):
    assert not verifier.verify(WEBHOOK, FORM, signature)


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_nothing_made_up_is_genuine(signature, settings, form):
    assert not verifier.verify(WEBHOOK, form, signature, settings)


def test_a_form_that_cannot_be_encoded_is_forged():
    assert not verifier.verify(WEBHOOK, {"a": "\udcff"}, "x")


@pytest.mark.parametrize("token", [TOKEN, "the other one"])
@pytest.mark.parametrize("url", [WEBHOOK, MEDIA])
def test_either_of_two_auth_tokens_signs_while_the_account_has_two(url, token):
    rotating = TwilioSignatureVerifier([TOKEN, "the other one"])
    form = FORM if url is WEBHOOK else {}
    assert rotating.verify(url, form, sign(url, form, token=token))
    assert not rotating.verify(url, form, sign(url, form, token="a third"))
    assert not rotating.verify(url, form, sign(url, form, token=""))
