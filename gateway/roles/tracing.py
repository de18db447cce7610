"""Composes the traces of a process. Without a collector in the settings there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gateway.calls.traced_tokens import TracedTokens
from gateway.errors import SettingsError
from gateway.roles.release import release
from gateway.settings import Settings
from gateway.telemetry.span_exporter import SpanExporter
from gateway.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from gateway.roles.access import AccessControl

PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Tracing:
    """The traces of one process, and what sends them; None if no collector is set."""

    tracer: Tracer | None = None
    exporter: SpanExporter | None = None

    @property
    def counts(self) -> Mapping[str, int] | None:
        """The outcomes of spans."""
        return None if self.exporter is None else self.exporter.counts

    def start(self) -> None:
        """Begin to send."""
        if self.exporter is not None:
            self.exporter.start()

    async def stop(self) -> None:
        """Send what is queued, within a bounded time."""
        if self.exporter is not None:
            await self.exporter.stop()

    def follow(self, access: AccessControl) -> AccessControl:
        """Return access control whose tokens carry trace context."""
        if self.tracer is None:
            return access
        return replace(access, tokens=TracedTokens(access.tokens, self.tracer))


def compose_tracing(settings: Settings, environ: Mapping[str, str], instance: str) -> Tracing:
    """Return the traces of a process, not started yet.

    `environ` may have OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which describe the source of
    the spans; `instance` is the name of this process. Raises SettingsError.
    """
    if not settings.otlp_url:
        return Tracing()
    try:
        # Imported here: only gateways that send traces have the package, and need its memory.
        from gateway.telemetry.otlp import Encoder  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "CALLER_OTLP_URL needs a package that is not installed: pip install 'caller[otel]'."
        ) from None
    exporter = SpanExporter(
        settings.otlp_url.reveal().rstrip("/") + PATH,
        pairs("CALLER_OTLP_HEADERS", settings.otlp_headers.reveal()),
        Encoder(_resource(environ, instance)),
    )
    return Tracing(Tracer(exporter.take, ratio=settings.traces_ratio), exporter)


def _resource(environ: Mapping[str, str], instance: str) -> dict[str, str]:
    """Return the attributes of the resource, by OpenTelemetry's conventions for services."""
    given = pairs("OTEL_RESOURCE_ATTRIBUTES", environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    return {
        "service.name": "caller",
        "service.version": release(),
        "service.instance.id": instance,
        **given,
        **({"service.name": name} if name else {}),
    }


def pairs(variable: str, text: str) -> dict[str, str]:
    """Parse `name=value,name=value` with percent-encoded values, the form of OTEL_* variables.

    Raises SettingsError that names the variable.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        decoded = unquote(value.strip())
        # A line break would begin another header, and half a character is not valid UTF-8.
        if not equals or not name.strip() or not (name + decoded).isprintable():
            raise SettingsError(f"{variable} must be name=value pairs, separated by commas.")
        found[name.strip()] = decoded
    return found
