"""What a person reads: every notice in every language, as text and as HTML, and nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from accounts.link import DISPUTABLE, Purpose
from accounts.notice import Notice
from billing.call_refunds import RefundRule
from billing.payments import PaymentProfile
from gateway import scopes
from gateway.call.supervision import Mode
from gateway.http.site.words import WORDS
from gateway.post import notices
from gateway.post.notices import NOTICES, URGENT, WIDTH, MailReader, MailSender, write
from gateway.words.data_map import Kept, left_in, words_in
from gateway.words.languages import LANGUAGES, read_part
from tests.flat_text import flat

UNIT = 1_000_000
ORIGIN = "https://calls.example.com"
LINK = f"{ORIGIN}/l/" + "a1B2_c3-" * 6
PAGE = "https://checkout.stripe.com/c/pay/cs_test_" + "a1b2c3" * 40 + "?a=1&b=2"
SERVICE = MailSender("Example Calls", ORIGIN, "help@example.com")
ALICE = PaymentProfile(
    "alice",
    "USD",
    email="alice@example.com",
    auto_enabled=True,
    auto_threshold_micros=5 * UNIT,
    auto_amount_micros=25 * UNIT,
)
VALUES = {
    "country": "France",
    "micros": str(25 * UNIT),
    "currency": "USD",
    "payment_id": "pay_1",
    "reason": "authentication_required",
    "url": PAGE,
    "rule": "no_audio",
    "call_id": "c1",
    "label": "robot",
    "period": "day",
    "share": "80",
    "browser": "Firefox",
    "system": "Linux",
    "at": "2026-11-24T13:00:00+01:00",
    "change": "on",
    "left": "2",
    "why": "gone",
    "document": "terms",
    "version": "2026-11-27",
    "path": "/terms",
    "material": "yes",
    "most": "whisper",
    "silent": "",
}
PURPOSES = {
    "verify_email": Purpose.PROVE_ADDRESS,
    "reset_password": Purpose.RESET_PASSWORD,
    "change_address": Purpose.CHANGE_ADDRESS,
    "address_changed": Purpose.UNDO_CHANGE,
    "new_device": Purpose.NOT_ME,
    "second_factor_changed": Purpose.NOT_ME,
    "recovery_code_used": Purpose.NOT_ME,
    "wrong_codes": Purpose.NOT_ME,
    "button_made": Purpose.NOT_ME,
    "passkey_added": Purpose.NOT_ME,
    "passkey_removed": Purpose.NOT_ME,
    "country_opened": Purpose.NOT_ME,
    "key_made": Purpose.NOT_ME,
    "supervision_allowed": Purpose.NOT_ME,
    "webhook_set": Purpose.NOT_ME,
}
ALL = [(name, language) for name in NOTICES for language in LANGUAGES]


def written(name, language="en", profile=ALICE, link=None, **values):
    purpose = PURPOSES.get(name)
    known = VALUES | {"language": language}
    own = {key: known[key] for key in NOTICES[name].values} | values
    address = LINK if link is None and NOTICES[name].needs_link else link or ""
    return write(
        Notice(name, values=own, link=purpose), MailReader(profile, language), SERVICE, address
    )


class Page(HTMLParser):
    """What an HTML mail consists of."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.words = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("frozen", [True, False])
def test_an_account_that_stays_frozen_is_not_said_to_call_again(frozen):
    mail = written("deletion_cancelled", profile=replace(ALICE, frozen=frozen))
    assert ("It can place calls again." in flat(mail.text)) is not frozen


def test_languages_have_the_same_notices_with_the_same_parts():
    shapes = []
    for language in LANGUAGES:
        words = dict(read_part(language, "mails"))
        parts = {name: sorted(own) for name, own in words.pop("notices").items()}
        tables = {name: sorted(own) for name, own in words.items() if isinstance(own, dict)}
        shapes.append((parts, tables, sorted(words)))
        assert parts.keys() == NOTICES.keys()
    assert len(shapes) > 2
    assert all(shape == shapes[0] for shape in shapes)


@pytest.mark.parametrize(("name", "language"), ALL)
def test_each_notice_is_written_in_each_language(name, language):
    mail = written(name, language)
    assert "\n" not in mail.subject
    assert 10 < len(mail.subject) <= 78
    for page in (flat(mail.text), flat("".join(Page(mail.html).words))):
        assert ORIGIN in page
        assert "Example Calls" in page
        assert "help@example.com" in page
        assert "{" not in page
        assert "Undefined" not in page
        if "micros" in NOTICES[name].values:
            assert "$25.00" in page
        assert not re.search(r"\+\d{5}", page)
    lines = mail.text.splitlines()
    assert all(len(line) <= WIDTH or line.startswith("https://") for line in lines)
    assert "<" not in mail.text
    if language == "en":
        assert mail.text.isascii()
        why = f"You get this mail because this address was given for an account at {ORIGIN}"
        assert why in flat(mail.text)


@pytest.mark.parametrize(("name", "language"), ALL)
def test_the_html_tracks_nobody_and_loads_nothing(name, language):
    mail = written(name, language)
    page = Page(mail.html)
    assert f'<html lang="{language}">' in mail.html
    assert '<meta name="color-scheme" content="light dark">' in mail.html
    assert not page.tags & {"img", "script", "link", "style", "iframe", "form", "object"}
    assert "url(" not in mail.html
    href = LINK if NOTICES[name].needs_link else PAGE if "url" in NOTICES[name].values else None
    assert set(page.links) == ({href} if href else set())
    # The same in both: whoever reads the text misses nothing.
    for line in flat(mail.text).split(". "):
        if "https://" not in line:
            assert line in flat(" ".join(page.words))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", sorted(PURPOSES))
def test_a_link_is_on_a_line_of_its_own_and_says_how_long_it_works(name, language):
    mail = written(name, language)
    assert LINK in mail.text.splitlines()
    span = {"reset_password": "60", "verify_email": "3", "change_address": "24"}.get(name, "14")
    assert re.search(rf"\b{span}\b", mail.text.replace(LINK, ""))


@pytest.mark.parametrize("name", sorted(PURPOSES))
def test_without_its_link_a_notice_is_not_written(name):
    with pytest.raises(ValueError, match="needs a link"):
        written(name, link="")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "purpose"),
    [("password_changed", Purpose.NOT_ME), ("locked", Purpose.RESET_PASSWORD)],
)
def test_a_link_that_may_be_missing_may_be_there(name, purpose, language):
    without = written(name, language)
    assert f"{ORIGIN}/reset" in without.text
    with_link = write(Notice(name, link=purpose), MailReader(ALICE, language), SERVICE, LINK)
    assert LINK in with_link.text.splitlines()
    assert LINK in Page(with_link.html).links
    assert ("14 " in with_link.text) is (name == "password_changed")
    assert ("60" in with_link.text.replace(LINK, "")) is (name == "locked")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_charge_has_a_link_that_locks_where_there_is_a_holder(language):
    values = {name: VALUES[name] for name in NOTICES["card_charged"].values}
    charged = Notice("card_charged", values=values, link=Purpose.NOT_ME)
    # No flood of others holds it up: it stops the next charge.
    assert "card_charged" in URGENT
    mail = write(charged, MailReader(ALICE, language), SERVICE, LINK)
    assert LINK in mail.text.splitlines()
    assert Page(mail.html).links == [LINK, LINK]
    text = flat(mail.text)
    for said in ("$25.00", "2026-11-24 12:00 UTC", "pay_1", f"{ORIGIN}/account/keys"):
        assert said in text
    assert f"{ORIGIN}/account/credit" in text
    assert re.search(r"\b14\b", mail.text.replace(LINK, ""))
    # Nobody has signed up for it: no page of an account is theirs.
    without = flat(written("card_charged", language).text)
    assert "$25.00" in without
    assert "pay_1" in without
    assert f"{ORIGIN}/" not in without
    assert Page(written("card_charged", language).html).links == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lock_says_where_automatic_top_ups_are_switched_on_again(language):
    assert f"{ORIGIN}/account/credit" in written("locked", language).text


def test_what_is_missing_is_an_error_and_not_a_gap():
    with pytest.raises(ValueError, match="lacks call_id, rule"):
        write(Notice("call_refunded", values={"micros": "1"}), MailReader(ALICE), SERVICE)
    with pytest.raises(KeyError):
        write(Notice("unheard_of"), MailReader(ALICE), SERVICE)
    with pytest.raises(UndefinedError):
        notices._render("{{ unheard_of }}", {})


@pytest.mark.parametrize(
    ("asked", "given"),
    [("de", "de"), ("de-AT", "de"), ("ES", "es"), ("tlh", "en"), ("", "en"), ("../en", "en")],
)
def test_a_language_that_is_not_written_is_read_in_english(asked, given):
    assert f'<html lang="{given}">' in written("locked", asked).html


@given(st.text(), st.text())
def test_no_value_becomes_html_or_a_paragraph_or_a_header(browser, system):
    mail = written("new_device", browser=browser, system=system)
    page = Page(mail.html)
    assert page.links == [LINK, LINK]
    assert page.tags == Page(written("new_device").html).tags
    assert len(mail.text.split("\n\n")) == len(written("new_device").text.split("\n\n"))
    assert mail.subject == written("new_device").subject


def test_a_sign_in_is_told_in_utc():
    assert "Firefox, Linux, 2026-11-24 12:00 UTC" in written("new_device").text
    assert "12:00 UTC\n" in written("new_device").text
    told = {"en": "UTC, from France", "de": "UTC, aus: France", "es": "UTC, desde: France"}
    told["fr"] = "UTC, depuis\u202f: France"
    for language, text in told.items():
        assert text in written("new_device", language, country="France").text
    unknown = written("new_device", "de", browser="", system="").text
    assert "Unbekannter Browser, unbekanntes System, 2026-11-24 12:00 UTC" in unknown


@pytest.mark.parametrize("share", ["50", "100"])
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "used, or held for calls in progress"),
        ("de", "verbraucht oder für laufende Anrufe reserviert"),
        ("es", "usado o reservado para llamadas en curso"),
        ("fr", "utilisé ou réservé pour des appels en cours"),
    ],
)
def test_a_share_of_a_budget_is_what_is_used_or_held(language, words, share):
    """As the spend gate counts both."""
    assert words in flat(written("button_budget", language, share=share).text)


def test_a_switched_off_top_up_says_what_to_do():
    text = flat(written("auto_top_up_off").text)
    assert PAGE in text
    assert "your bank asks you to confirm" in text
    text = flat(written("auto_top_up_off", url="").text)
    assert "top up by hand with a card that may be saved" in text
    assert f"switch automatic top-ups on again at {ORIGIN}" in text


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stolen_card", "stolen"), ("lost_card", "lost"), ("do_not_honor", "honor")],
)
def test_what_the_bank_keeps_to_itself_is_not_told(reason, word):
    mail = written("auto_top_up_off", reason=reason)
    assert "your bank declined it" in flat(mail.text)
    assert word not in mail.text + mail.html


def test_a_charge_says_when_the_next_one_comes():
    text = flat(written("auto_top_up", micros=str(10 * UNIT)).text)
    assert "was charged $10.00" in text
    assert "The next one, of $25.00, follows when your credit falls below $5.00." in text
    text = flat(written("auto_top_up", profile=replace(ALICE, auto_enabled=False)).text)
    assert "now switched off" in text
    assert "falls below" not in text
    assert "$25.00" not in flat(
        written(
            "auto_top_up", micros=str(10 * UNIT), profile=replace(ALICE, auto_enabled=False)
        ).text
    )


def test_a_dispute_says_whether_calls_can_be_placed():
    frozen = replace(ALICE, frozen=True)
    assert "frozen" not in written("disputed").text
    assert "account is frozen" in flat(written("disputed", profile=frozen).text)
    assert "Your account can place calls." in flat(written("dispute_won").text)
    assert "still frozen" in flat(written("dispute_won", profile=frozen).text)


def test_a_refund_gives_its_reason_in_the_accounts_currency_and_language():
    euro = replace(ALICE, currency="EUR")
    refunded = written("call_refunded", profile=euro, micros="30000")
    assert refunded.subject == "A call was refunded: €0.03"
    assert "No sound came from the phone." in flat(refunded.text)
    german = written("call_refunded", "de", profile=euro, micros="30000")
    assert "Vom Telefon kam kein Ton." in flat(german.text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", RefundRule)
def test_every_reason_of_a_refund_has_words(rule, language):
    text = flat(written("call_refunded", language, rule=rule.name.lower()).text)
    assert notices._words(language)["refunds"][rule.name.lower()] in text
    if language == "en":
        assert rule.value in text


@pytest.mark.parametrize("operator", ["", "Example & Sons, 1 High Street"])
def test_each_mail_says_who_runs_the_service_where_that_is_known(operator):
    service = replace(SERVICE, operator=operator)
    mail = write(Notice("locked"), MailReader(ALICE), service)
    assert ("High Street" in mail.text) == ("Sons, 1 High Street" in mail.html) == bool(operator)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_deletion_has_a_link_that_keeps_and_one_that_locks(language):
    values = {"at": VALUES["at"]}
    notice = Notice("deletion_asked", values=values, link=Purpose.CANCEL_DELETION)
    mail = write(notice, MailReader(ALICE, language), SERVICE, LINK, f"{LINK}-alarm")
    assert {LINK, f"{LINK}-alarm"} <= set(mail.text.splitlines())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_restriction_that_nobody_asked_for_is_ended_where_it_can_be(language):
    *_, said = flat(written("restricted", language).text).partition(f"{ORIGIN}/reset")
    assert f"{ORIGIN}/account/restriction." in said


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "the card"), ("de", "die Karte"), ("es", "la tarjeta"), ("fr", "la carte")],
)
def test_the_last_mail_tells_of_a_card_only_where_credit_goes_back(language, words):
    sent = flat(written("account_deleted", language, sent_back_micros="20000000").text)
    assert words in sent
    assert "$20.00" in sent
    given_up = flat(written("account_deleted", language, given_up_micros="5000000").text)
    assert "$5.00" in given_up
    for without in (given_up, flat(written("account_deleted", language).text)):
        assert words not in without
        assert "$20.00" not in without
    assert "$" not in written("account_deleted", language).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_last_mail_says_all_that_stays_and_for_how_long_it_is_kept_here(language):
    kept = Kept(3, 7)
    notice = Notice("account_deleted", values={"language": language})
    text = flat(write(notice, MailReader(ALICE, "en"), replace(SERVICE, kept=kept)).text)
    colon = words_in(language)["readme.colon"]
    assert all(f"{e.title}{colon} {e.text}." in text for e in left_in(words_in(language), kept))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_deletion_says_what_happens_to_credit(language):
    told = {
        unspent: flat(written("deletion_asked", language, unspent=unspent, micros="25000000").text)
        for unspent in ("refund", "give_up")
    }
    assert all("$25.00" in text for text in told.values())
    assert told["refund"] != told["give_up"]
    cards = {"en": "the cards", "de": "die Karten", "es": "las tarjetas", "fr": "les cartes"}[
        language
    ]
    assert (cards in told["refund"], cards in told["give_up"]) == (True, False)
    assert "$" not in written("deletion_asked", language).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_reset_names_what_stays(language):
    values = {"passkeys": "Phone", "keys": "robot, shop", "webhooks": "hooks"}
    notice = Notice("password_changed", values=values, link=Purpose.NOT_ME)
    mail = write(notice, MailReader(ALICE, language), SERVICE, LINK)
    text = " ".join(mail.text.split())
    for said in ("Phone", f"{ORIGIN}/account/security", "robot, shop", f"{ORIGIN}/account/keys"):
        assert said in text
    assert ": hooks. " in text
    assert f"{ORIGIN}/account/webhooks" in text


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", "“Café”, “shop <b>”"),
        ("de", "„Café“, „shop <b>“"),
        ("es", "«Café», «shop <b>»"),
        ("fr", "«\u202fCafé\u202f», «\u202fshop <b>\u202f»"),
    ],
)
@pytest.mark.parametrize(
    ("name", "thing"),
    [
        *[
            (name, thing)
            for name in ("password_changed", "locked")
            for thing in sorted(notices._THINGS)
        ],
        ("locked", "numbers"),
    ],
)
def test_names_are_quoted_as_the_language_does(language, names, thing, name):
    mail = written(name, language, **{thing: "“Café”, “shop <b>”"})
    assert f": {names}." in flat(mail.text)
    assert "shop &lt;b&gt;" in mail.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_lock_names_what_goes(language):
    words = {"passkeys": "Phone", "keys": "robot", "buttons": "shop", "numbers": "6789"}
    words |= {"webhooks": "hooks"}
    bare = flat(written("locked", language).text)
    assert f"{ORIGIN}/account/webhooks" in bare
    for name, said in words.items():
        assert f": {said}." in flat(written("locked", language, **{name: said}).text)
    app = flat(written("locked", language, app=VALUES["at"]).text)
    assert "2026-11-24 12:00 UTC" in app


@pytest.mark.parametrize(
    ("language", "never", "again"),
    [
        ("en", "are never sent there", "had failed or were waiting when it was disabled"),
        ("de", "wird nicht dorthin gesendet", "vor dem Abschalten aufgegeben wurde oder da noch"),
        ("es", "no se envía allí", "se abandonó antes de desactivarlo, o esperaba entonces"),
        ("fr", "n’y est pas envoyé", "abandonné avant sa désactivation, ou attendait alors"),
    ],
)
def test_what_a_disabled_webhook_misses_is_not_said_to_come_later(language, never, again):
    for why in ("gone", "failing"):
        text = flat(written("webhook_disabled", language, why=why).text)
        assert again in text
        assert never in text
    assert never in flat(written("locked", language, webhooks="hooks").text)
    assert never not in flat(written("locked", language).text)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "planned deletion was cancelled"),
        ("de", "ist abgebrochen"),
        ("es", "se ha cancelado"),
        ("fr", "est annulée"),
    ],
)
def test_a_lock_that_cancels_a_deletion_says_so(language, words):
    assert words in flat(written("locked", language, kept="yes").text)
    assert words not in flat(written("locked", language).text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_about_a_key_says_what_it_may_as_the_page_of_keys_does(language):
    names = {scope: WORDS[language][f"scope.{scope}"] for scope in scopes.PAGE}
    assert notices._words(language)["scopes"] == names
    some = flat(written("key_made", language, scopes="calls records").text)
    for scope, name in names.items():
        assert (name in some) is (scope in {"calls", "records"})
    # One that was queued before had none.
    assert names[scopes.Scope.CALLS] not in flat(written("key_made", language).text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_far_a_lock_reaches_is_told_in_the_days_that_it_does(language):
    values = {name: VALUES[name] for name in NOTICES["card_charged"].values}
    charged = Notice("card_charged", values=values, link=Purpose.NOT_ME)
    mails = (
        written("locked", language),
        write(charged, MailReader(ALICE, language), SERVICE, LINK),
    )
    words = {"en": "days", "de": "Tage", "es": "días", "fr": "jours"}
    for mail in mails:
        assert f" {DISPUTABLE.days} {words[language]}" in flat(mail.text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_supervisors_may_do_has_words_and_a_way_to_switch_it_off(language):
    words = notices._words(language)["supervision"]
    assert words.keys() == set(Mode)
    for most, may in words.items():
        mail = written("supervision_allowed", language, most=most)
        assert may in flat(mail.text)
        assert f"{ORIGIN}/account/supervision" in mail.text
        kept = written("password_changed", language, supervision=most)
        assert may in flat(kept.text)
        assert f"{ORIGIN}/account/supervision" in kept.text
    silent = written("supervision_allowed", language, silent="yes")
    assert flat(silent.text) != flat(written("supervision_allowed", language).text)
    assert "/account/supervision" not in written("password_changed", language).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receipt_says_what_was_paid_when_what_it_became_and_where_to_see_it(language):
    balance = str(37 * UNIT + 500_000)
    text = flat(written("topped_up", language, balance_micros=balance).text)
    for said in ("$25.00", "2026-11-24 12:00 UTC", "$37.50", "pay_1"):
        assert said in text
    assert f"{ORIGIN}/account/credit/payments" in text
    # Who does not know the balance says nothing of it.
    without = flat(written("topped_up", language).text)
    assert ("$37.50" in without, "$25.00" in without) == (False, True)
