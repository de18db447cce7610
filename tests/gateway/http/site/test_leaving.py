"""The page on which a person leaves: what it says, the choice, and the way back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.erasure import GRACE, ErasureState, Unspent
from database.errors import StoreUnavailableError
from gateway.http.site.forms import OWNER, SENT
from gateway.http.site.words import WORDS
from gateway.people.link_pages import LinkPage
from gateway.words.data_map import WORDS as DATA_WORDS
from gateway.words.data_map import Kept, left_in
from tests.gateway.http.site.conftest import place
from tests.gateway.people.memory import EMAIL

DELETE = "/account/delete"


@pytest.fixture
async def ada(site):
    site.world.add()
    await site.enter()
    return site


def asked(form):
    """Return what the forms of a page ask for."""
    return [each for each in form.of("input") if each["name"] not in {OWNER, SENT}]


async def test_the_page_says_what_goes_and_what_stays(ada):
    form = ada.read(await ada.get(DELETE))
    for words in ("API keys stop working", "usually 10 years", "under a hash", "in 7 days"):
        assert words in form.text
    for thing in ("Webhooks", "call buttons", "numbers", "passkeys", "the app for codes"):
        assert thing in form.text
    assert asked(form) == []


@pytest.mark.parametrize("language", sorted(DATA_WORDS))
async def test_the_page_lists_all_that_stays_and_for_how_long(ada, language):
    await ada.post("/account/language", language=language)
    ada.world.epochs.epoch = "e2"
    text = ada.read(await ada.get(DELETE)).text
    words = DATA_WORDS[language]
    for each in left_in(words, Kept()):
        assert f"{each.title}{WORDS[language]['site.colon']} {each.text}." in text


async def test_an_old_proof_does_not_do(ada):
    ada.world.later(minutes=11)
    assert place(await ada.get(DELETE)) == "/confirm?next=%2Faccount%2Fdelete"
    assert place(await ada.post(DELETE)) == "/confirm?next=%2Faccount%2Fdelete"
    assert ada.world.departures.erasures == {}


async def test_a_person_leaves_and_comes_back_by_the_button(ada):
    assert place(await ada.post(DELETE)) == f"{DELETE}?said=deletion_asked"
    waiting = ada.world.departures.erasures["ada"]
    assert (waiting.state, waiting.due_at) == (ErasureState.WAITING, ada.world.now + GRACE)
    assert "2026-12-04 12:00 UTC" in ada.read(await ada.get(DELETE)).text
    assert "This account will be deleted" in ada.read(await ada.get("/account")).text
    # A repeat changes nothing.
    ada.world.later(minutes=1)
    await ada.post(DELETE)
    assert ada.world.departures.erasures["ada"] == waiting
    assert [mail.name for mail in ada.world.people.mails] == ["deletion_asked"]
    assert place(await ada.post(f"{DELETE}/cancel")) == "/account?said=deletion_cancelled"
    assert place(await ada.post(f"{DELETE}/cancel")) == "/account?said=deletion_too_late"
    assert ada.world.departures.erasures["ada"].state is ErasureState.CANCELLED


async def test_a_person_comes_back_by_the_link_in_the_mail(ada):
    await ada.post(DELETE)
    (mail,) = ada.world.people.mails
    link = f"/l/{mail.secret}"
    assert "Keep your account?" in ada.read(await ada.get(link)).text
    # Looking at it does nothing: mail scanners open links.
    assert ada.world.departures.erasures["ada"].state is ErasureState.WAITING
    assert place(await ada.post(link)) == "/sign-in?said=deletion_cancelled"
    assert ada.world.departures.erasures["ada"].state is ErasureState.CANCELLED


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("is_frozen", [True, False])
async def test_an_account_that_stays_frozen_is_not_said_to_call_again(ada, is_frozen, language):
    words = WORDS[language]
    await ada.post("/account/language", language=language)
    ada.world.epochs.epoch = "e2"
    if is_frozen:
        ada.world.departures.frozen_otherwise.add("ada")
    said = "deletion_cancelled" + "_frozen" * is_frozen
    await ada.post(DELETE)
    secret = ada.world.people.mails[-1].secret
    waiting = ada.read(await ada.get(DELETE)).text
    assert (words["delete.may_cancel"] in waiting) is not is_frozen
    assert words["delete.may_cancel_frozen"].rstrip(".") in waiting
    kept = await ada.post(f"{DELETE}/cancel")
    assert place(kept) == f"/account?said={said}"
    assert words[f"said.{said}"] in ada.read(await ada.get(place(kept))).text
    await ada.post(DELETE)
    ada.client = ada.new_browser()
    headers = {"accept-language": language}
    before = ada.read(await ada.client.get(f"/l/{secret}", headers=headers)).text
    shown = words["link.cancel_deletion_" + ("frozen" if is_frozen else "text")]
    assert shown.format(email=EMAIL) in before
    assert place(await ada.post(f"/l/{secret}")) == f"/sign-in?said={said}"


async def test_a_link_used_where_somebody_else_is_signed_in_tells_nothing_on_their_page(ada):
    await ada.post(DELETE)
    (mail,) = ada.world.people.mails
    ada.world.add("bob", "bob@example.com")
    ada.client = ada.new_browser()
    await ada.enter("bob@example.com")
    await ada.post("/account/language", language="de")
    ada.world.epochs.epoch = "e2"
    before = ada.read(await ada.get(f"/l/{mail.secret}")).text
    assert WORDS["en"]["link.cancel_deletion_title"] in before
    reply = await ada.post(f"/l/{mail.secret}")
    assert reply.status_code == 200
    done = LinkPage("cancel_deletion", EMAIL, said="deletion_cancelled")
    assert reply.content == ada.door.pages.render(done, "en", is_signed_in=None).body
    form = ada.read(reply)
    assert "Your account is kept" in form.text
    assert EMAIL in form.text
    assert form.of("button") == []
    assert "/account" not in [each["href"] for each in form.of("a")]
    assert "Your account is kept" not in ada.read(await ada.get("/account")).text
    assert ada.world.departures.erasures["ada"].state is ErasureState.CANCELLED


async def test_a_link_works_also_where_nobody_can_tell_who_is_signed_in(ada, monkeypatch):
    await ada.post(DELETE)
    (mail,) = ada.world.people.mails

    async def away(_request):
        raise StoreUnavailableError("away")

    monkeypatch.setattr(type(ada.door), "who", lambda _door, request: away(request))
    assert place(await ada.post(f"/l/{mail.secret}")) == "/sign-in?said=deletion_cancelled"
    assert ada.world.departures.erasures["ada"].state is ErasureState.CANCELLED


async def test_a_link_that_comes_too_late_says_so(ada):
    await ada.post(DELETE)
    (mail,) = ada.world.people.mails
    ada.world.departures.erasures.clear()
    assert (await ada.post(f"/l/{mail.secret}")).status_code == 410


async def test_credit_that_is_left_needs_a_choice(ada):
    ada.world.balance, ada.world.refundable = 5_000_000, 3_000_000
    page = await ada.get(DELETE)
    assert "Send $3.00 back" in ada.read(page).text
    assert "Give up $5.00" in ada.read(page).text
    reply = await ada.post(DELETE)
    assert reply.status_code == 422
    assert "Choose what happens to the remaining credit" in ada.read(reply).text
    assert ada.world.departures.erasures == {}
    await ada.post(DELETE, unspent="give_up")
    assert ada.world.departures.erasures["ada"].unspent is Unspent.GIVE_UP
    told = {"at": "2026-12-04T12:00:00+00:00", "unspent": "give_up", "micros": "5000000"}
    assert [mail.values for mail in ada.world.people.mails] == [told]
    assert "Your credit of $5.00 is given up." in ada.read(await ada.get(DELETE)).text
    await ada.post(f"{DELETE}/cancel")
    await ada.post(DELETE, unspent="refund")
    text = ada.read(await ada.get(DELETE)).text
    assert "Your credit of $5.00 goes back to the cards" in text


async def test_where_no_card_takes_anything_back_no_refund_is_offered(ada):
    ada.world.balance = 5_000_000
    form = ada.read(await ada.get(DELETE))
    assert [each["value"] for each in asked(form)] == ["give_up"]


async def test_at_once_is_only_for_a_second_factor(ada):
    assert (await ada.post(DELETE, when="now")).status_code == 422
    assert ada.world.departures.erasures == {}
    kept, strong = ada.world.sessions.kept, frozenset({"pwd", "otp", "mfa"})
    kept.update({secret: replace(each, methods=strong) for secret, each in kept.items()})
    ada.world.departures.proof_since = ada.world.now - timedelta(days=6)
    assert (await ada.post(DELETE, when="now")).status_code == 422, "a thief has just added it"
    assert ada.world.departures.erasures == {}
    ada.world.departures.proof_since = ada.world.now - timedelta(days=7)
    form = ada.read(await ada.get(DELETE))
    assert [each["value"] for each in asked(form)] == ["later", "now"]
    await ada.post(DELETE, when="now")
    assert ada.world.departures.erasures["ada"].due_at == ada.world.now
    # There is nothing to come back to by a link.
    assert [mail.secret for mail in ada.world.people.mails] == [""]


async def test_a_deletion_that_has_begun_cannot_be_cancelled(ada):
    await ada.post(DELETE)
    waiting = ada.world.departures.erasures["ada"]
    ada.world.departures.erasures["ada"] = type(waiting)(
        "ada",
        ErasureState.ERASING,
        waiting.step,
        waiting.unspent,
        waiting.actor,
        waiting.asked_at,
        waiting.due_at - timedelta(days=8),
    )
    form = ada.read(await ada.get(DELETE))
    assert "You can keep it" not in form.text
    assert place(await ada.post(f"{DELETE}/cancel")) == "/account?said=deletion_too_late"


async def sent_slowly(ada, path, meanwhile, form=b""):
    """Send a form in which something happens once the person has been let in."""

    async def body():
        meanwhile()
        yield form

    headers = {
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-www-form-urlencoded",
    }
    return await ada.client.post(path, content=body(), headers=headers)


async def test_a_session_that_ended_meanwhile_deletes_nothing(ada):
    ended = await sent_slowly(ada, DELETE, lambda: ada.world.change(credentials_epoch=2))
    assert place(ended) == "/sign-in?next=%2Faccount%2Fdelete&said=session_over"
    assert ada.world.departures.erasures == {}


async def test_a_session_that_ended_meanwhile_keeps_nothing(ada):
    await ada.post(DELETE)
    ended = await sent_slowly(
        ada, f"{DELETE}/cancel", lambda: ada.world.change(credentials_epoch=2)
    )
    assert place(ended) == "/sign-in?next=%2Faccount%2Fdelete&said=session_over"
    assert ada.world.departures.erasures["ada"].state is ErasureState.WAITING


async def test_a_proof_that_grows_old_meanwhile_does_not_do(ada):
    ended = await sent_slowly(ada, DELETE, lambda: ada.world.later(minutes=11))
    assert place(ended) == "/confirm?next=%2Faccount%2Fdelete"
    assert ada.world.departures.erasures == {}
