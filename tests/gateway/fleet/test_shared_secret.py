"""Nodes that hash under different secrets are found, whichever process looks."""

import hmac

from structlog.testing import capture_logs

from gateway.fleet.shared_secret import HINT, SecretWatch, apart, proof_of
from tests.gateway.fleet.mailboxes import facts_of

OWN, OTHER = proof_of("own" * 11), proof_of("other" * 11)


def test_a_proof_shows_which_secret_it_is_and_not_the_secret():
    whole = hmac.new(b"own" * 11, b"caller: the secret that all nodes share", "sha256")
    assert whole.hexdigest()[:16] == OWN
    assert len({OWN, OTHER}) == 2
    assert not proof_of("")


def test_nodes_with_another_secret_are_named_and_older_releases_are_not_judged():
    nodes = [
        facts_of("n3", secret_proof=OTHER),
        facts_of("n1", secret_proof=OWN),
        facts_of("n2", secret_proof=OTHER),
        facts_of("old"),
    ]
    assert apart(nodes, OWN) == ["n2", "n3"]
    assert apart(nodes, OTHER) == ["n1"]
    # Who has no secret goes by most nodes.
    assert apart(nodes, "") == ["n1"]
    assert apart([facts_of("old")], OWN) == apart([facts_of("old")], "") == apart([], OWN) == []


def test_a_line_is_logged_once_per_change():
    watch = SecretWatch(OWN)
    same, other = facts_of("n1", secret_proof=OWN), facts_of("n2", secret_proof=OTHER)
    third = facts_of("n3", secret_proof=OTHER)
    with capture_logs() as logs:
        for seen in ([same], [same, other], [other, same], [same, other, third], [same], [same]):
            watch.see(seen)
    assert [(line["log_level"], line["event"], line.get("nodes")) for line in logs] == [
        ("error", "nodes have different secrets", "n2"),
        ("error", "nodes have different secrets", "n2, n3"),
        ("info", "nodes have the same secret again", None),
    ]
    assert logs[0]["hint"] == HINT


def test_a_process_without_a_secret_reports_nobody():
    with capture_logs() as logs:
        SecretWatch("").see([facts_of("n1", secret_proof=OWN), facts_of("n2", secret_proof=OTHER)])
    assert logs == []
