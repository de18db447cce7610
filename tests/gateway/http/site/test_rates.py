"""The page of rates, which anybody may read."""

import pytest

from gateway.http.site.rates import PREFIXES_SHOWN


async def text_of(site, path="/rates"):
    reply = await site.get(path)
    assert reply.status_code == 200
    return site.read(reply).text


async def test_a_stranger_sees_what_each_country_costs(site):
    text = await text_of(site)
    assert "United Kingdom from $0.0120" in text
    assert "Cuba closed" in text
    assert "Sign in" in text
    assert "Keys" not in text
    site.client.headers["accept-language"] = "de"
    text = await text_of(site)
    assert text.index("Österreich ab") < text.index("Vereinigtes Königreich ab")


async def test_who_is_signed_in_keeps_the_menu(site):
    site.world.add()
    await site.enter()
    form = site.read(await site.get("/rates"))
    assert [each["href"] for each in form.of("a") if "aria-current" in each] == ["/rates"]


async def test_a_country_that_is_not_in_the_list_is_told_beside_its_field(site):
    reply = await site.get("/rates?country=XX")
    assert reply.status_code == 422
    page = site.read(reply)
    assert "Choose a country from the list." in page.text
    (select,) = page.of("select")
    assert select["aria-describedby"] == "country-error"


async def test_a_country_has_its_rates(site):
    text = await text_of(site, "/rates?country=GB")
    assert "United Kingdom, fixed $0.0120 a minute +441 +442" in text
    assert "counted by the second · $5.00 are about 416 min" in text
    text = await text_of(site, "/rates?country=US")
    assert f"+120{PREFIXES_SHOWN} …" in text
    text = await text_of(site, "/rates?country=AT")
    assert "$0.01 for the connection · at least $0.10 a call · the first 3 s are free" in text
    assert "counted in 60 s, then steps of 6 s" in text
    text = await text_of(site, "/rates?country=CU")
    assert "often used for fraud" in text
    assert "a minute" not in text.replace("of a minute", "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+44 20 7946 0018", "+442079460018 · United Kingdom United Kingdom, fixed $0.0120"),
        ("112", "Emergency numbers cannot be called"),
        ("+44207", "This number is too short."),
        ("nonsense", "This is not a valid phone number."),
        ("+5372345678", "often used for fraud"),
        ("+33123456789", "Calls to this destination are not offered."),
        ("+447700900123" + "0" * 90, "This is not a valid phone number."),
    ],
)
async def test_a_number_has_its_rate_or_the_reason_why_not(site, number, said):
    reply = await site.post("/rates", number=number)
    assert reply.status_code == 200
    assert said in site.read(reply).text


async def test_a_number_is_asked_for(site):
    reply = await site.post("/rates", number=" ")
    assert reply.status_code == 422
    assert site.read(reply).input("number")["aria-invalid"] == "true"


async def test_look_ups_of_strangers_are_bounded(site):
    await site.post("/rates", number="+442079460018")
    (use,) = site.velocity.used
    assert use.limit == "address_quotes_minute"


async def test_without_a_rate_that_is_said(site):
    site.rates.deck = site.rates.empty
    assert "No rates are set here yet." in await text_of(site, "/rates?country=GB")
