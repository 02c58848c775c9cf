import sys

import pytest

from mlic.allocator import keep_blocks


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_it_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("MLIC_KEEP_BLOCKS", "0")
    assert keep_blocks() is False


def test_other_platforms_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_blocks() is False
