"""Longest prefix, denial by default, and decks that are read whole or not at all."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from billing.errors import RateDeckError
from billing.rate_deck import COLUMNS, DeckEntry, RateDeck
from billing.rating import Rate

HEADER = ",".join(COLUMNS) + "\n"
DECK = (
    HEADER
    + """# what begins with a hash is a comment
44,United Kingdom,GB,0.0120,0,1,1
447,"United Kingdom, mobile",GB,0.0320,0.01,60,6
4470 44844,Personal numbers,,deny,,,
1204 1226,Canada,CA,0.0140,0,1,1
"""
)


def test_the_longest_prefix_decides():
    deck = RateDeck.from_csv(DECK)
    assert deck.lookup("+442071234567") == DeckEntry(
        "44", "United Kingdom", "GB", Rate(per_minute_micros=12_000)
    )
    mobile = deck.lookup("+447400123456")
    assert mobile.description == "United Kingdom, mobile"
    assert mobile.rate == Rate(
        per_minute_micros=32_000, first_s=60, next_s=6, connect_fee_micros=10_000
    )


def test_prefixes_of_one_row_share_its_price():
    deck = RateDeck.from_csv(DECK)
    assert deck.lookup("+12045550100").prefix == "1204"
    assert deck.lookup("+12265550100").rate == deck.lookup("+12045550100").rate
    assert len(deck) == 6
    assert {entry.prefix for entry in deck} == {"44", "447", "1204", "1226"}


@pytest.mark.parametrize(
    "number",
    [
        "+12125550100",  # no prefix begins it
        "+447012345678",  # its longest prefix is denied
        *("442071234567", "+", "", "+44x", "+0442071234567", "+4420712345678901", "+44207123456\n"),
        "+٤٤٢٠٧١٢٣٤٥٦٧",
    ],
)
def test_denies_what_is_not_priced_or_no_number(number):
    assert RateDeck.from_csv(DECK).lookup(number) is None


digits = st.text("0123456789", min_size=1, max_size=6).map(lambda text: "1" + text)


@given(st.sets(digits, min_size=1, max_size=40), digits)
def test_agrees_with_a_plain_search(prefixes, number):
    rows = "".join(f"{prefix},,,1,0,1,1\n" for prefix in prefixes)
    entry = RateDeck.from_csv(HEADER + rows).lookup(f"+{number}")
    longest = max((p for p in prefixes if number.startswith(p)), key=len, default=None)
    assert (entry and entry.prefix) == longest


def test_columns_come_in_any_order_and_may_be_padded():
    text = "\ufeffnext, first ,connect_fee,rate_per_minute,country,description,prefix\r\n"
    text += "6, 60 ,0,0.01,DE,Germany, 49 \r\n"
    entry = RateDeck.from_csv(text).lookup("+4930123456")
    assert entry.rate == Rate(per_minute_micros=10_000, first_s=60, next_s=6)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("x,,,1,0,1,1", "prefix"),
        (",,,1,0,1,1", "prefix"),
        ("044,,,1,0,1,1", "prefix"),
        ("1234567890123456,,,1,0,1,1", "prefix"),
        ("44,,,1,0,1,1", "prefix"),  # given twice
        ("49 49,,,1,0,1,1", "prefix"),
        ("49,a\x00b,,1,0,1,1", "description"),
        (f"49,{'x' * 101},,1,0,1,1", "description"),
        ("49,,de,1,0,1,1", "country"),
        ("49,,DEU,1,0,1,1", "country"),
        ("49,,,,0,1,1", "rate_per_minute"),
        ("49,,,-1,0,1,1", "rate_per_minute"),
        ("49,,,1.0000001,0,1,1", "rate_per_minute"),
        ("49,,,free,0,1,1", "rate_per_minute"),
        ("49,,,1,,1,1", "connect_fee"),
        ("49,,,1,-1,1,1", "connect_fee"),
        ("49,,,1,0,0,1", "first"),
        ("49,,,1,0,x,1", "first"),
        ("49,,,1,0,1,3601", "next"),
        ("49,,,1,0,1", ""),
        ("49,,,1,0,1,1,", ""),
        ('49,"open,,1,0,1,1', ""),
    ],
)
def test_errors_say_where(row, column):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_csv(f"{HEADER}# comment\n44,,,1,0,1,1\n{row}\n")
    assert (caught.value.line, caught.value.column) == (4, column)
    assert str(caught.value).startswith("line 4")


def test_decks_are_bounded(monkeypatch):
    monkeypatch.setattr("billing.rate_deck.PREFIXES_MAX", 5)
    with pytest.raises(RateDeckError, match="too many"):
        RateDeck.from_csv(DECK)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, ""),
        (HEADER, 1, ""),
        ("\n# only a comment\n", 1, ""),
        ("prefix,description\n", 1, "country"),
        (HEADER.replace("first", "prefix"), 1, "prefix"),
        (f"# comment\nextra,{HEADER}", 2, "extra"),
    ],
)
def test_refuses_headers_and_empty_decks(text, line, column):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_csv(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@given(st.text() | st.text().map(HEADER.__add__))
def test_any_text_is_a_deck_or_a_deck_error(text):
    try:
        assert len(RateDeck.from_csv(text)) > 0
    except RateDeckError:
        pass


PRICED = (
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
)
NEVER_PRICED = (
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER,
)


def example_numbers(region, kinds):
    for kind in kinds:
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None and phonenumbers.number_type(number) == kind:
            yield phonenumbers.format_number(number, PhoneNumberFormat.E164)


class TestExampleDeck:
    deck = RateDeck.example()
    countries = sorted({entry.country for entry in deck} - {""})

    def test_prices_the_usual_countries(self):
        assert len(self.countries) >= 40
        for country in self.countries:
            numbers = list(example_numbers(country, PRICED))
            entries = [self.deck.lookup(number) for number in numbers]
            priced = [entry.country for entry in entries if entry is not None]
            # Chile's only example is a shared-cost number.
            assert set(priced) == {country} or country == "CL"

    def test_denies_numbers_that_cost_extra(self):
        for region in phonenumbers.SUPPORTED_REGIONS:
            for number in example_numbers(region, NEVER_PRICED):
                assert self.deck.lookup(number) is None, number

    @pytest.mark.parametrize(
        "number",
        [
            "+19005550100",  # premium
            "+12129760100",  # pay-per-call exchange
            "+12425550100",  # the Bahamas
            "+12465550100",  # Barbados
            "+881612345678",  # satellite
            "+870773111632",
            "+8835100123456",  # global network
            "+447911123456",  # Guernsey under the United Kingdom's code
            "+77012345678",  # Kazakhstan under Russia's
            "+15005561000",  # beside the simulated network
        ],
    )
    def test_denies_by_default(self, number):
        assert self.deck.lookup(number) is None

    @pytest.mark.parametrize(
        ("number", "country"),
        [
            ("+12125550100", "US"),
            ("+14165550100", "CA"),
            ("+18765550100", "JM"),
            ("+442071234567", "GB"),
            ("+4915112345678", "DE"),
            ("+81312345678", "JP"),
            ("+56223456789", "CL"),
        ],
    )
    def test_knows_countries_by_their_prefixes(self, number, country):
        assert self.deck.lookup(number).country == country

    def test_prices_the_simulated_network(self):
        entry = self.deck.lookup("+15005551000")
        assert entry.description == "Simulated phone network"
        assert entry.rate.cost(60) == 60_000
