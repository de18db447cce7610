"""Signatures are those of Standard Webhooks: its own libraries of two languages take them."""

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.webhooks import signature
from gateway.webhooks.signature import SecretMaker, read_secret, secret_text, signed_headers

WEB = Path(__file__).parents[3] / "web"
# The example of the specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = ("k" * 32, "l" * 32)
NODE = """
const { Webhook } = require("standardwebhooks");
for (const { secret, headers, body } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  try { new Webhook(secret).verify(body, headers); console.log("taken"); }
  catch (error) { console.log("refused"); }
}
"""


def node_says(messages):
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules/standardwebhooks").is_dir():
        pytest.skip("needs node, and `npm ci` in web/")
    run = subprocess.run(
        [node, "-e", NODE],
        cwd=WEB,
        input=json.dumps(messages),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout.split()


def python_says(message):
    try:
        Webhook(message["secret"]).verify(message["body"], message["headers"])
    except WebhookVerificationError:
        return "refused"
    return "taken"


def message(secret=SECRET, *, body=b'{"a":"\xc3\xa9"}', secrets=None, at=None, **changed):
    signing = [read_secret(each) for each in secrets or [secret]]
    headers = signed_headers("evt_1", at or datetime.now(UTC), body, signing)
    return {"secret": secret, "headers": {**headers, **changed}, "body": body.decode()}


def test_the_example_of_the_specification_is_signed_as_there():
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [read_secret(SECRET)]
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_libraries_of_two_languages_take_what_is_ours_and_nothing_else():
    maker = SecretMaker(KEYS)
    ours = secret_text(maker.secret("wh_1", maker.seed("wh_1", "once")))
    later = datetime.now(UTC) - timedelta(minutes=6)
    expected = [
        (message(), "taken"),
        (message(ours), "taken"),
        (message(secret_text(b"x" * 64)), "taken"),
        # While a secret is being replaced, both fit.
        (message(secrets=[ours, SECRET]), "taken"),
        (message(ours, secrets=[ours, SECRET]), "taken"),
        (message(secrets=[ours]), "refused"),
        (message(**{"webhook-id": "evt_2"}), "refused"),
        (message(**{"webhook-timestamp": "1"}), "refused"),
        (message(at=later), "refused"),
        ({**message(), "body": "{}"}, "refused"),
    ]
    verdicts = [verdict for _, verdict in expected]
    assert [python_says(each) for each, _ in expected] == verdicts
    assert node_says([each for each, _ in expected]) == verdicts


@given(st.binary(min_size=24, max_size=64))
def test_secrets_are_read_as_they_are_shown(secret):
    assert read_secret(secret_text(secret)) == secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET[6:],
        SECRET + "!",
        "whsec_" + "a" * 31,
        "WHSEC_" + SECRET[6:],
        secret_text(b"x" * 23),
        secret_text(b"x" * 65),
        "whsec_é" + "A" * 32,
    ],
)
def test_any_other_text_is_no_secret(text):
    with pytest.raises(ValueError, match="whsec_"):
        read_secret(text)


def test_secrets_hang_on_key_endpoint_and_seed_and_are_found_again():
    old, new = SecretMaker(KEYS[1:]), SecretMaker(KEYS)
    seed = old.seed("wh_1", "once")
    assert seed == old.seed("wh_1", "once")
    seeds = {seed, old.seed("wh_1", "twice"), new.seed("wh_1", "once")}
    assert len(seeds) == 3
    # What was made under the key of before is still signed with.
    assert new.secret("wh_1", seed) == old.secret("wh_1", seed)
    secrets = {new.secret(endpoint, each) for endpoint in ("wh_1", "wh_2") for each in seeds}
    assert len(secrets) == 6
    assert {len(each) for each in secrets} == {32}
    # Nothing that is stored is the secret.
    assert all(base64.b64encode(each).decode() not in seed for each in secrets)


def test_without_its_key_no_secret_is_made_or_found():
    none = SecretMaker(())
    assert not none.can_make
    assert SecretMaker(KEYS).can_make
    with pytest.raises(LookupError):
        none.seed("wh_1")
    with pytest.raises(LookupError):
        none.secret("wh_1", SecretMaker(KEYS).seed("wh_1"))
    with pytest.raises(LookupError):
        none.secret("wh_1", ".")


def test_the_headers_are_those_of_the_specification():
    assert (
        signature.ID,
        signature.TIMESTAMP,
        signature.SIGNATURE,
    ) == (
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    )
