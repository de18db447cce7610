"""Longest prefix, denial by default, and decks that are read whole or not at all."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from billing.errors import RateDeckError
from billing.rate_deck import (
    COLUMNS,
    COST_COLUMNS,
    LASTING_MINUTES_MAX,
    OPTIONAL_COLUMNS,
    DeckEntry,
    RateDeck,
    by_country,
    carrier_rate,
    lasting_minutes,
)
from billing.rating import Rate
from tests.strategies import rates

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
        "442071234567",
        "+",
        "",
        "+44x",
        "+0442071234567",
        "+4420712345678901",
        "+44207123456\n",
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


def test_minimum_cap_and_free_seconds_may_be_given():
    text = f"{HEADER.strip()},minimum,cap,free\n49,,DE,0.01,0,1,1,0.02,5,10\n44,,GB,0.01,0,1,1,,,\n"
    deck = RateDeck.from_csv(text)
    assert deck.match("49").rate == Rate(
        per_minute_micros=10_000, minimum_micros=20_000, cap_micros=5_000_000, free_s=10
    )
    assert deck.match("44").rate == Rate(per_minute_micros=10_000)


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("-1,,", "minimum"),
        ("x,,", "minimum"),
        (",-1,", "cap"),
        ("2,1,", "cap"),
        (",,-1", "free"),
        (",,1.5", "free"),
        (",,3601", "free"),
    ],
)
def test_errors_of_optional_columns_say_where(cells, column):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_csv(f"{HEADER.strip()},minimum,cap,free\n49,,DE,0.01,0,1,1,{cells}\n")
    assert (caught.value.line, caught.value.column) == (2, column)


def test_prefixes_are_told_priced_and_denied():
    deck = RateDeck.from_csv(DECK)
    assert list(deck.prefixes) == ["44", "447", "4470", "44844", "1204", "1226"]
    assert [deck.prefix_of(d) for d in ("4470123", "44", "4", "49")] == ["4470", "44", None, None]
    assert [entry and entry.prefix for entry in map(deck.match, ("4470", "4471", "4"))] == [
        None,
        "447",
        None,
    ]


entries = st.dictionaries(
    digits, st.none() | st.tuples(st.text("ab, \"'\n", max_size=9), rates()), min_size=1
)


@given(entries)
def test_a_deck_survives_being_written(entries):
    deck = RateDeck(
        {
            prefix: value and DeckEntry(prefix, " ".join(value[0].split()), "GB", value[1])
            for prefix, value in entries.items()
        }
    )
    again = RateDeck.from_csv(deck.to_csv())
    assert list(again) == list(deck)
    assert list(again.prefixes) == list(deck.prefixes)


def test_costs_are_billed_by_the_minute_and_survive_being_written():
    text = "prefix,price_per_minute\n1 49,0.014000\n447,1.000001\n"
    costs = RateDeck.from_costs_csv(text)
    assert costs.match("49").rate == Rate(per_minute_micros=14_000, first_s=60, next_s=60)
    assert list(RateDeck.from_costs_csv(costs.to_costs_csv())) == list(costs)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("prefix\n", 1, "price_per_minute"),
        ("prefix,price_per_minute,x\n", 1, "x"),
        ("prefix,price_per_minute\n1,\n", 2, "price_per_minute"),
        ("prefix,price_per_minute\n1,-1\n", 2, "price_per_minute"),
        ("prefix,price_per_minute\n1,1\n1,2\n", 3, "prefix"),
    ],
)
def test_errors_of_costs_say_where(text, line, column):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_costs_csv(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("x,,,1,0,1,1", "prefix"),
        (",,,1,0,1,1", "prefix"),
        ("044,,,1,0,1,1", "prefix"),
        ("1234567890123456,,,1,0,1,1", "prefix"),
        ("44,,,1,0,1,1", "prefix"),  # given twice
        ("49 49,,,1,0,1,1", "prefix"),
        ("49,a\x00b,,1,0,1,1", ""),
        ("# \ud800", ""),
        ("49,a\x07b,,1,0,1,1", "description"),
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
        (f"{HEADER.strip()},cap,cap\n", 1, "cap"),
        (f"# comment\nextra,{HEADER}", 2, "extra"),
    ],
)
def test_refuses_headers_and_empty_decks(text, line, column):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_csv(text)
    assert (caught.value.line, caught.value.column) == (line, column)


FULL_HEADER = ",".join((*COLUMNS, *OPTIONAL_COLUMNS)) + "\n"
GOOD = ("49", "Germany", "DE", "0.01", "0", "60", "6", "0.02", "1", "10")
BAD = st.text(max_size=30) | st.sampled_from(
    [
        "-1",
        "1e9",
        "nan",
        "9" * 40,
        "0" * 40,
        "0.0000001",
        "٤٩",
        "1 1",
        "\x00",
        "\ud800",
        "deny",
        "DENY",
        '"',
        '""',
        "'",
        "a,b",
        "\r",
        "\n",
        "4" * 16,
        "1" * 200_000,
        "2" * 5_000,
    ]
)
spoilt = st.lists(
    st.builds(
        lambda at, cell: ",".join((*GOOD[:at], cell, *GOOD[at + 1 :])), st.integers(0, 9), BAD
    )
)


@given(
    st.text() | st.text().map(FULL_HEADER.__add__) | spoilt.map("\n".join).map(FULL_HEADER.__add__)
)
def test_any_text_is_a_deck_or_an_error_that_says_where(text):
    lines = text.count("\n") + text.count("\r") + 1
    for read in (RateDeck.from_csv, RateDeck.from_costs_csv):
        error = error_of(read, text)
        if error is not None:
            columns = {"", *COLUMNS, *OPTIONAL_COLUMNS, *COST_COLUMNS}
            assert 1 <= error.line <= lines
            assert error.column in columns or error.column in text


def error_of(read, text):
    try:
        assert len(read(text)) > 0
    except RateDeckError as error:
        return error
    return None


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


WITH_CARRIER = f"{HEADER.strip()},minimum,cap,carrier_per_minute\n"


@pytest.mark.parametrize(
    "row",
    [
        "44,,GB,0.01,0,60,60,,,0.01",
        "44,,GB,0.01,0,60,1,,,0.01",
        "44,,GB,0.02,0,30,1,,,0.01",
        "44,,GB,0.01,0,1,1,0.01,,0.01",
        "44,,GB,0.01,0.01,1,1,,,0.01",
        "44,,GB,0.01,0,1,1,,,",
        "44,,GB,0.01,0,1,1,,,0",
    ],
)
def test_a_price_that_covers_the_carriers_minute_is_taken(row):
    deck = RateDeck.from_csv(WITH_CARRIER + row)
    carrier = row.rpartition(",")[2]
    assert deck.match("44").carrier_micros == (10_000 if carrier == "0.01" else 0)
    costs = deck.costs()
    if carrier == "0.01":
        assert costs.match("44").rate == carrier_rate(10_000)
    else:
        assert costs is None


@pytest.mark.parametrize(
    "row",
    [
        "44,,GB,0.01,0,1,1,,,0.01",
        "44,,GB,0.0199,0,30,1,,,0.01",
        "44,,GB,0.01,0,60,60,,,0.010001",
        "44,,GB,0.01,0,1,1,0.009999,,0.01",
        # A cap below it takes away what the price would earn.
        "44,,GB,0.02,0,60,60,,0.005,0.01",
        "44,,GB,0.01,0,60,60,,,-1",
        "44,,GB,0.01,0,60,60,,,x",
        "44,,GB,0.01,0,60,60,,,1000001",
    ],
)
def test_a_price_below_the_carriers_minute_is_refused_with_its_place(row):
    with pytest.raises(RateDeckError) as caught:
        RateDeck.from_csv(WITH_CARRIER + row)
    assert (caught.value.line, caught.value.column) == (2, "carrier_per_minute")


SUMMED_UP = """prefix,description,country,rate_per_minute,connect_fee,first,next
447,"GB, mobile",GB,0.03,0,1,1
441 442,"GB, fixed",GB,0.01,0,1,1
446,"GB, fixed",GB,0.02,0,1,1
53,Cuba,CU,0.90,0,1,1
5399,"Cuba, open",CU,0.95,0,1,1
1500555,Simulated,,0.06,0,1,1
4470,"GB, premium",GB,deny,,,
"""


def test_each_country_has_its_groups():
    found = by_country(RateDeck.from_csv(SUMMED_UP), lambda digits: digits == "53")
    assert {
        country: [(group.description, list(group.prefixes), group.is_closed) for group in groups]
        for country, groups in found.items()
    } == {
        "GB": [
            ("GB, fixed", ["441", "442"], False),
            ("GB, fixed", ["446"], False),
            ("GB, mobile", ["447"], False),
        ],
        "CU": [("Cuba, open", ["5399"], False), ("Cuba", ["53"], True)],
    }
    assert [group.rate.per_minute_micros for group in found["GB"]] == [10_000, 20_000, 30_000]


def test_an_empty_deck_has_no_country():
    assert by_country(RateDeck({}), lambda _: False) == {}


def test_a_balance_lasts_longer_than_one_call_may():
    rate = Rate(per_minute_micros=10_000, connect_fee_micros=5_000)
    assert [lasting_minutes(rate, micros) for micros in (-1, 0, 15_000, 14_999)] == [0, 0, 1, 0]
    assert lasting_minutes(rate, 100_005_000) == 10_000
    assert lasting_minutes(Rate(per_minute_micros=0), 1) == LASTING_MINUTES_MAX
