"""The figures of a node, and the files in `deploy/` that read them."""

import json
import re
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml

from gateway.http.bearer import key_hash, new_api_key
from gateway.http.metrics import PATH
from gateway.roles.serve import Gateway
from gateway.scopes import LEAST, Scope
from gateway.settings_variables import from_mapping

FILES = Path(__file__).parents[3] / "deploy" / "prometheus"


@pytest.fixture
async def node(environ):
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    yield node
    await node.stop()


async def key_of(node, scopes):
    key = new_api_key()
    accounts = node.stores.accounts
    await accounts.create_account(f"of-{min(scopes)}", "USD")
    await accounts.add_api_key(f"of-{min(scopes)}", key_hash(key), "test", scopes=scopes)
    return key


async def scraped(node, key):
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}") as client:
        return await client.get("/metrics", headers=headers)


@pytest.mark.thorough
async def test_an_operator_reads_figures_and_nobody_else_does(node):
    operator, other = await key_of(node, {Scope.ADMIN}), await key_of(node, LEAST)
    assert (await scraped(node, "ck_nobodys")).status_code == 401
    assert (await scraped(node, other)).status_code == 403
    reply = await scraped(node, operator)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert "\ncaller_calls 0.0\n" in reply.text
    # Those before it were counted.
    counted = 'caller_http_request_seconds_count{method="GET",route="/metrics",status="4xx"} 2.0'
    assert counted in reply.text


async def test_each_figure_that_is_asked_for_in_deploy_is_there(node):
    text = (await scraped(node, await key_of(node, {Scope.ADMIN}))).text
    there = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    asked = (FILES / "caller.rules.yml").read_text() + (FILES / "grafana.json").read_text()
    names = set(re.findall(r"\b(?:caller|process)_[a-z_]+\b", asked))
    assert len(names) > 10
    for name in names:
        family = re.sub(r"_(?:bucket|sum|count)$", "", name)
        assert {name, family, family.removesuffix("_total")} & there, name


def test_the_dashboard_is_one():
    dashboard = json.loads((FILES / "grafana.json").read_text())
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places) > 10


def rules():
    groups = yaml.safe_load((FILES / "caller.rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_rule_says_what_it_is_about_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 4
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "runbook"}


def test_what_is_asked_for_in_deploy_is_promql():
    panels = json.loads((FILES / "grafana.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in [*asked, *(rule["expr"] for rule in rules())]:
        promql_parser.parse(expression)
    with pytest.raises(ValueError, match="parenthesis"):
        promql_parser.parse("sum(rate(caller_calls[5m])")


def test_what_is_scraped_is_where_the_figures_are():
    (job,) = yaml.safe_load((FILES / "prometheus.yml").read_text())["scrape_configs"]
    assert job.get("metrics_path", "/metrics") == PATH
    assert job["job_name"] == "caller"
