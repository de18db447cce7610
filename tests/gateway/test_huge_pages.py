"""The heap is gathered into huge pages by the real kernel, and only where it is in use."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import pytest

from gateway import huge_pages

MIB = 1024 * 1024
SIZE = 2 * MIB


def in_huge_pages() -> int:
    """Bytes of this process, as the kernel counts them."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^AnonHugePages:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.fixture
def gathered() -> int:
    """What was gathered before the test begins."""
    if sys.platform != "linux":
        pytest.skip("Only Linux gathers memory when asked to.")
    gathered = huge_pages.gather()
    if not gathered:
        pytest.skip("This kernel has no huge pages to give, or is older than 6.1.")
    return gathered


def settings(folder: Path, enabled: str, size: str = str(SIZE)) -> Path:
    (folder / "enabled").write_text(enabled)
    (folder / "hpage_pmd_size").write_text(size)
    return folder


def test_what_is_in_use_is_gathered_and_unchanged(gathered: int) -> None:
    before = in_huge_pages()
    block = mmap.mmap(-1, 8 * SIZE, flags=mmap.MAP_PRIVATE)
    with block:
        for at in range(0, len(block), 8):
            block[at : at + 8] = at.to_bytes(8, "little")
        again = huge_pages.gather()
        # At least all but the ends, which need not lie where huge pages begin.
        assert in_huge_pages() - before >= 7 * SIZE
        assert again >= 7 * SIZE
        for at in range(0, len(block), 8):
            assert block[at : at + 8] == at.to_bytes(8, "little")


def test_what_is_hardly_in_use_takes_no_more_memory(gathered: int) -> None:
    with mmap.mmap(-1, 16 * SIZE, flags=mmap.MAP_PRIVATE) as block:
        for at in range(0, len(block), 16 * mmap.PAGESIZE):
            block[at] = 1
        before = resident()
        huge_pages.gather()
        assert resident() - before < SIZE


def test_a_second_look_finds_the_same(gathered: int) -> None:
    assert huge_pages.gather() >= gathered // 2
    assert in_huge_pages() > 0


@pytest.mark.parametrize("enabled", ["always madvise [never]\n", "", "never"])
def test_an_operator_who_forbids_it_is_obeyed(gathered: int, tmp_path: Path, enabled: str) -> None:
    is_forbidden = "[never]" in enabled
    assert bool(huge_pages.gather(settings(tmp_path, enabled))) is not is_forbidden


def test_a_kernel_without_huge_pages_is_no_fault(tmp_path: Path) -> None:
    assert huge_pages.gather(tmp_path / "none") == 0
    assert huge_pages.gather(settings(tmp_path, "[madvise]", "huge")) == 0
