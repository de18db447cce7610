"""Traces are composed where a collector is set, and nowhere else."""

import subprocess
import sys

import httpx
import pytest

from gateway.errors import SettingsError
from gateway.http.bearer import key_hash, new_api_key
from gateway.roles.serve import Gateway
from gateway.roles.tracing import Tracing, compose_tracing, pairs
from gateway.scopes import Scope
from gateway.settings_variables import from_mapping
from gateway.telemetry.spans import HOLD, TraceSpan
from tests.gateway.telemetry.collector import collecting, read

URL = {"CALLER_OTLP_URL": "http://127.0.0.1:4318"}
SPAN = TraceSpan(HOLD, b"t" * 16, b"s" * 8, b"p" * 8, 1, 2)


@pytest.mark.thorough
def test_without_a_collector_there_are_none_and_nothing_is_loaded():
    assert compose_tracing(from_mapping({}), {}, "n1") == Tracing()
    heavy = "{'opentelemetry.proto', 'google.protobuf'}"
    code = (
        f"import gateway.roles.serve, gateway.roles.media, sys; print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gateway.telemetry.otlp", None)
    with pytest.raises(SettingsError, match=r"pip install 'caller\[otel\]'"):
        compose_tracing(from_mapping(URL), {}, "n1")


@pytest.mark.parametrize(
    ("environ", "resource"),
    [
        ({}, {"service.name": "caller", "service.instance.id": "n1"}),
        (
            {
                "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=b%2Cc, x=",
                "OTEL_SERVICE_NAME": "d",
            },
            {"service.name": "d", "deployment.environment.name": "b,c", "x": ""},
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"}, {"service.name": "a"}),
    ],
)
def test_the_standard_variables_say_of_what_the_spans_are(environ, resource):
    tracing = compose_tracing(from_mapping(URL), environ, "n1")
    (received,) = read(tracing.exporter._encode([SPAN]))
    assert resource.items() <= received.resource.items()
    assert received.resource["service.version"]


@pytest.mark.parametrize("text", ["a", "a=b,c", "=b", "a=%0d%0aX: y", "a=\udc80", "a%=\x00"])
def test_pairs_that_are_none_are_refused_without_showing_them(text):
    with pytest.raises(SettingsError) as refused:
        pairs("CALLER_OTLP_HEADERS", text)
    assert str(refused.value) == (
        "CALLER_OTLP_HEADERS must be name=value pairs, separated by commas."
    )


async def test_a_process_counts_its_spans_and_sends_what_waits_when_it_stops(environ):
    async with collecting() as collector:
        environ |= {"CALLER_OTLP_URL": collector.url + "/", "CALLER_OTLP_HEADERS": "X-Key=a%20b"}
        node = Gateway(from_mapping(environ), environ)
        await node.start()
        try:
            key = new_api_key()
            await node.stores.accounts.create_account("operator", "USD")
            scopes = {Scope.ADMIN}
            await node.stores.accounts.add_api_key("operator", key_hash(key), "test", scopes=scopes)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}") as client:
                headers = {"authorization": f"Bearer {key}"}
                text = (await client.get("/metrics", headers=headers)).text
            assert 'caller_spans_total{what="sent"} 0.0' in text
            assert 'caller_spans_total{what="dropped"} 0.0' in text
            node._tracing.tracer._emit(SPAN)
        finally:
            await node.stop()
        assert [span.name for span in collector.spans] == [HOLD]
        assert collector.asked[0]["X-Key"] == "a b"
