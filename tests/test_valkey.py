"""No two tests of a run are given one port at the same time."""

from tests.valkey import free_port, ports_of


def test_workers_have_ports_of_their_own() -> None:
    given = [port for worker in range(8) for port in ports_of(worker)]
    assert sorted(given) == list(range(20_000, 32_000))
    # One that takes the place of another that broke down.
    assert ports_of(9) == ports_of(1)


def test_a_port_is_given_again_only_after_all_others() -> None:
    given = [free_port() for _ in range(1_000)]
    assert len({*given}) == 1_000
