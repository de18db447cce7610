"""The page's pure modules, tested in Node, with vectors that the gateway's own code writes."""

from __future__ import annotations

import audioop
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest

from gateway.browser import messages as wire
from gateway.call.supervision import Mode
from gateway.cause import Cause
from gateway.problems import PROBLEMS
from gateway.watching.alarms import RULES
from gateway.watching.next_steps import NEXT_STEPS
from tests.web.conftest import WEB, WORDS

UNIT = Path(__file__).parent / "unit"
SUITES = sorted(path.name for path in UNIT.glob("*.test.ts"))

USD = wire.Money(217, "USD", "$0.0002")
RATE = wire.RateQuote(
    per_minute=wire.Money(13_000, "USD", "$0.0130"),
    connect_fee=wire.Money(0, "USD", "$0.00"),
    first_increment_s=1,
    next_increment_s=1,
    description="Simulated phone network",
)
_END = {
    "call_id": "c",
    "cause": 17,
    "name": "USER_BUSY",
    "message": "The line is busy.",
    "ended_by": "callee",
    "seconds": 1,
    "cost": USD,
}
MESSAGES: list[wire.GatewayMessage] = [
    wire.Ready(
        version=1,
        call_id="c",
        destination="+15005551000",
        codec="pcmu",
        frame_bytes=160,
        rate=RATE,
        webrtc=True,
        resume_token="1.token",
        resume_seconds=15,
    ),
    wire.CheckReady(version=1, seconds=5, webrtc=True),
    wire.SupervisionReady(version=1, call_id="c", frame_bytes=160, most=Mode.BARGE, announced=True),
    wire.Supervise(mode=Mode.WHISPER),
    wire.Supervised(mode=Mode.TAKE_OVER),
    wire.CheckResult(
        verdict="good",
        path="webrtc",
        mos=4.3,
        rtt_ms=None,
        jitter_ms=1.0,
        loss_percent=0.0,
        level_dbov=-20,
        message="Calls will sound good from here.",
        action="",
    ),
    wire.Answer(id=1, sdp="v=0"),
    wire.OfferRefused(id=1, code="webrtc_off", message="m"),
    wire.PathSelected(path="webrtc"),
    wire.Stalled(leg="browser", stalled=True),
    wire.Sample(
        path="webrtc",
        rtt_ms=34.5,
        carrier_rtt_ms=None,
        browser=wire.LegSample(mos=4.2),
        carrier=wire.LegSample(mos=3.7),
    ),
    wire.Ringing(),
    wire.ToneStarted(name="ringback"),
    wire.Accept(at="2026-11-24T12:00:00Z"),
    wire.Mute(muted=True),
    wire.Hold(held=True),
    wire.DtmfReceived(digit="7"),
    wire.Talk(leg="carrier", talking=True),
    wire.Volume(input_dbov=-20, output_dbov=-30),
    wire.Cost(seconds=1, cost=USD),
    wire.Credit(balance=wire.Money(4_999_783, "USD", "$5.00"), remaining_seconds=23_075),
    wire.CreditWarning(seconds_left=30, cause="credit"),
    wire.CreditWarningCleared(seconds_left=90),
    wire.Draining(seconds_left=30),
    wire.Warning(name="media", message="The phone is silent."),
    wire.WarningCleared(name="media"),
    wire.Cancel(**_END),
    wire.Disconnect(**_END),
    wire.Error(code="bad_message", message="m", action="a", retry=False),
    wire.Pong(id=1),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the suites find what the gateway says, and leave what the page says."""
    folder = tmp_path_factory.mktemp("vectors")
    vectors = folder / "vectors.json"
    mulaw = struct.unpack("<256h", audioop.ulaw2lin(bytes(range(256)), 2))
    messages = [wire.encode(message).decode() for message in MESSAGES]
    refusals = {code: problem.message for code, problem in PROBLEMS.items()}
    said = {
        "mulaw": mulaw,
        "messages": messages,
        "causes": list(Cause),
        "alarm_rules": [rule.name for rule in RULES],
        "next_steps": dict(NEXT_STEPS),
        "refusals": refusals,
    }
    vectors.write_text(json.dumps(said))
    return {"CALLER_VECTORS": str(vectors), "CALLER_SAID": str(folder / "said.json")}


def _bundled(node: str, source: Path, folder: Path) -> Path:
    """Return the file that Node runs for a source."""
    bundle = folder / "bundle.mjs"
    subprocess.run([node, UNIT / "bundle.mjs", source, bundle], check=True)
    return bundle


@pytest.mark.parametrize("suite", SUITES)
def test_suite_passes_in_node(
    suite: str, node: str, environment: dict[str, str], tmp_path: Path
) -> None:
    bundle = _bundled(node, UNIT / suite, tmp_path)
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", bundle],
        check=False,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "en_US.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("part", "chooser", "name", "words"),
    [
        ("phone", "i18n/language", "call", "strings.call"),
        ("widget", "widget/frame/words", "call", "t('call')"),
        ("live", "live/language", "views", "spoken('page', {}).views"),
    ],
)
def test_another_language_is_one_more_folder(
    part: str, chooser: str, name: str, words: str, node: str, tmp_path: Path
) -> None:
    sources, folder = tmp_path / "web/src", tmp_path / "gateway/words"
    shutil.copytree(WEB / "src", sources)
    shutil.copytree(WORDS, folder)
    shutil.copytree(folder / "es", folder / "eu")
    spanish = (folder / "eu" / f"{part}.ts").read_text()
    basque = spanish.replace(f" {name}: '", f" {name}: 'Deitu · ")
    (folder / "eu" / f"{part}.ts").write_text(basque)
    script = tmp_path / "choose.ts"
    script.write_text(
        "Object.assign(globalThis, { document: { documentElement: {} } });"
        f"const chosen = await import('./web/src/{chooser}');"
        "await chosen.chooseLanguage(['xx', 'eu-ES', 'de']);"
        f"console.log(document.documentElement.lang.slice(0, 2), chosen.{words});"
    )
    bundle = _bundled(node, script, tmp_path)
    said = subprocess.run([node, bundle], check=True, capture_output=True, text=True).stdout
    assert said.startswith("eu Deitu · ")


def test_gateway_understands_all_the_page_says(
    node: str, environment: dict[str, str], tmp_path: Path
) -> None:
    said = Path(environment["CALLER_SAID"])
    if not said.exists():
        test_suite_passes_in_node("state.test.ts", node, environment, tmp_path)
    messages = [
        wire.parse(json.dumps(message).encode()) for message in json.loads(said.read_text())
    ]
    assert {type(message) for message in messages} == {
        wire.Start,
        wire.Resume,
        wire.Offer,
        wire.SelectPath,
        wire.Report,
        wire.Mute,
        wire.Hold,
        wire.SendDtmf,
        wire.Supervise,
        wire.Hangup,
        wire.Ping,
    }
    assert isinstance(messages[0], wire.Start)
    assert messages[0].version == wire.VERSION


def test_every_message_of_the_gateway_is_among_the_vectors() -> None:
    tags = {message.__struct_config__.tag for message in MESSAGES}
    kinds = msgspec.inspect.type_info(wire.GatewayMessage)
    assert isinstance(kinds, msgspec.inspect.UnionType)
    assert tags == {
        kind.tag for kind in kinds.types if isinstance(kind, msgspec.inspect.StructType)
    }
