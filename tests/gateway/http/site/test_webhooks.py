"""The pages of webhooks: a list with what was sent last, a form, and secrets that are shown."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.session import STEP_UP_MAX
from gateway.http.site.words import WORDS
from gateway.limits.velocity import Use
from gateway.webhooks.pages import SHOWN, NewWebhookPage, WebhookSecretPage
from gateway.webhooks.ports import DeliveryState, EndReason
from gateway.webhooks.signature import read_secret
from tests.gateway.http.site.conftest import place

PAGE, NEW = "/account/webhooks", "/account/webhooks/new"
URL = "https://hooks.example.com/caller?token=1"
FORM = {"once": "a-form-of-its-own-01", "url": URL, "label": "shop"}


@pytest.fixture
async def ada(site):
    """The site with somebody signed in."""
    site.world.add()
    await site.enter()
    return site


def secret_in(reply):
    assert reply.status_code == 200, reply.text
    (secret,) = re.findall(r"whsec_[\w+/=]+", reply.text)
    return secret


async def test_a_webhook_is_added_and_its_secret_shown(ada):
    assert "No webhooks are set up." in ada.read(await ada.get(PAGE)).text
    secret = secret_in(await ada.post(NEW, **FORM))
    assert len(read_secret(secret)) == 32
    # A form whose answer was lost shows the same, and adds no other.
    assert secret_in(await ada.post(NEW, **FORM)) == secret
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    assert (kept.url, kept.label) == (URL, "shop")
    reply = await ada.get(PAGE)
    assert secret not in reply.text
    text = ada.read(reply).text
    for words in ("shop", URL, "Nothing has been posted yet."):
        assert words in text
    turned = secret_in(await ada.post(f"{PAGE}/turn", webhook_id=endpoint_id))
    assert turned != secret


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"url": "http://hooks.example.com/"}, "url", "Nothing can be sent to this address."),
        ({"url": "https://127.0.0.1/"}, "url", "Nothing can be sent to this address."),
        ({"url": ""}, "url", "Nothing can be sent to this address."),
        ({"label": "x" * 81}, "label", "The name is too long."),
        ({"label": "a\u202eb"}, "label", "Leave out invisible characters"),
    ],
)
async def test_what_is_wrong_is_said_and_kept(ada, changes, field, words):
    reply = await ada.post(NEW, **FORM | changes)
    assert reply.status_code == 422
    form = ada.read(reply)
    assert words in form.text
    assert form.input(field)["aria-invalid"] == "true"
    assert form.input("url")["value"] == changes.get("url", URL)
    assert not ada.webhooks.kept


async def test_an_eleventh_is_not_added(ada):
    for number in range(10):
        secret_in(await ada.post(NEW, **FORM | {"once": f"form-number-{number:0>8}"}))
    reply = await ada.post(NEW, **FORM)
    assert (reply.status_code, "You have 10 webhooks already" in reply.text) == (422, True)


async def test_tests_and_removals_are_of_ones_own_alone(ada):
    secret_in(await ada.post(NEW, **FORM))
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    for _ in range(SHOWN + 1):
        reply = await ada.post(f"{PAGE}/test", webhook_id=endpoint_id)
        assert place(reply) == f"{PAGE}?said=webhook_tested"
    ada.webhooks.sent[1] = replace(
        ada.webhooks.sent[1], state=DeliveryState.ABANDONED, failure="status 500"
    )
    text = ada.read(await ada.get(f"{PAGE}?said=webhook_tested")).text
    assert "A test is on its way." in text
    assert text.count("webhook.test") == SHOWN
    assert "given up · status 500" in text
    # Of another's nothing is said, nor done.
    ada.webhooks.kept["wh_theirs"] = replace(kept, id="wh_theirs", account_id="somebody")
    for act in ("test", "remove", "turn", "enable"):
        for named in ("wh_theirs", "wh_none", "\0"):
            assert place(await ada.post(f"{PAGE}/{act}", webhook_id=named)) == PAGE
    assert place(await ada.post(f"{PAGE}/remove", webhook_id=endpoint_id)) == (
        f"{PAGE}?said=webhook_removed"
    )
    assert set(ada.webhooks.kept) == {"wh_theirs"}


async def test_one_that_fails_or_is_disabled_is_marked(ada):
    secret_in(await ada.post(NEW, **FORM | {"label": ""}))
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    at = ada.world.now
    ada.webhooks.kept[endpoint_id] = replace(kept, failing_since=at)
    text = ada.read(await ada.get(PAGE)).text
    assert "hooks.example.com fails" in text
    ada.webhooks.kept[endpoint_id] = replace(kept, failing_since=at, disabled_at=at)
    text = ada.read(await ada.get(PAGE)).text
    assert "hooks.example.com disabled" in text
    assert "Send a test" not in text


@pytest.mark.parametrize("language", sorted(WORDS))
async def test_one_that_is_disabled_says_why_and_is_enabled_again(ada, language):
    secret_in(await ada.post(NEW, **FORM))
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    of_deliveries = {
        EndReason.DISABLED,
        EndReason.TOO_MANY,
        EndReason.TOO_LONG,
        EndReason.FORGOTTEN,
    }
    await ada.post("/account/language", language=language)
    ada.world.epochs.epoch = "e2"
    said = set()
    for why in set(EndReason) - of_deliveries:
        ada.webhooks.kept[endpoint_id] = replace(kept, disabled_at=ada.world.now, disabled_why=why)
        text = ada.read(await ada.get(PAGE)).text
        words = WORDS[language][f"webhook_ended.{why}"]
        assert words in text
        assert WORDS[language]["webhooks.enable_help"] in text
        said.add(words)
        # Another secret alone brings no events.
        turned = await ada.post(f"{PAGE}/turn", webhook_id=endpoint_id)
        assert WORDS[language]["webhook_secret.disabled"] in ada.read(turned).text
        enabled = await ada.post(f"{PAGE}/enable", webhook_id=endpoint_id)
        assert place(enabled) == f"{PAGE}?said=webhook_enabled"
        assert ada.webhooks.since is not None
        text = ada.read(await ada.get(place(enabled))).text
        assert WORDS[language]["said.webhook_enabled"] in text
        assert words not in text
        assert WORDS[language]["webhooks.test"] in text
    assert len(said) == 5
    assert WORDS[language]["webhook_secret.disabled"] not in (
        ada.read(await ada.post(f"{PAGE}/turn", webhook_id=endpoint_id)).text
    )


async def test_whoever_has_not_just_proven_who_they_are_enables_nothing(ada):
    secret_in(await ada.post(NEW, **FORM))
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    ada.webhooks.kept[endpoint_id] = replace(kept, disabled_at=ada.world.now, disabled_why="gone")
    ada.world.now += STEP_UP_MAX + timedelta(seconds=1)
    assert place(await ada.post(f"{PAGE}/enable", webhook_id=endpoint_id)).startswith("/confirm?")
    assert ada.webhooks.kept[endpoint_id].disabled_at is not None


async def test_an_hour_has_so_many_addresses_and_the_same_form_again_is_none(ada):
    once = Use("account_webhooks_hour", "ada")
    for _ in range(2):
        secret_in(await ada.post(NEW, **FORM))
    assert ada.world.velocity.used.count(once) == 1
    ((endpoint_id, kept),) = ada.webhooks.kept.items()
    ada.webhooks.kept[endpoint_id] = replace(kept, disabled_at=ada.world.now, disabled_why="gone")
    ada.world.velocity.refuses["account_webhooks_hour"] = 300
    for refused in (
        await ada.post(f"{PAGE}/enable", webhook_id=endpoint_id),
        await ada.post(NEW, **FORM | {"once": "another-form-of-today"}),
    ):
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
    assert [each.disabled_why for each in ada.webhooks.kept.values()] == ["gone"]


def test_no_log_shows_a_secret_that_a_page_was_given():
    assert "whsec_" not in repr(WebhookSecretPage("shop", "whsec_x"))
    assert NewWebhookPage("once").errors == {}
