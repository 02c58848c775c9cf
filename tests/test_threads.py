import logging
import os
import subprocess
import sys

import pytest

from mlic import threads
from mlic.threads import available_cores, choose_threads, log_threads, settle_threads


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(threads, "_permitted_cores", lambda: 8)
    monkeypatch.setattr(threads, "_quotas", lambda root: [])
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that what settle_threads sets is undone
        monkeypatch.delenv(name)


def files(root, contents):
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("contents", "cores"),
    [
        ({}, 8),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "what is this\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": ""}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "500000 100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/m\n4:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_the_quota_of_a_container_counts(monkeypatch, tmp_path, contents, cores):
    monkeypatch.undo()
    monkeypatch.setattr(threads, "_permitted_cores", lambda: 8)
    assert available_cores(files(tmp_path, contents)) == cores


def test_every_core_has_a_thread_or_a_lane_and_waiting_threads_sleep():
    settle_threads()
    assert choose_threads() == (8, 8, 8, "passive")
    assert "OMP_NUM_THREADS" not in os.environ


def test_below_a_quota_openmp_is_told_how_many_threads_to_have(monkeypatch):
    monkeypatch.setattr(threads, "_quotas", lambda root: [1.5])
    settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert choose_threads() == (2, 2, 2, "passive")


def test_what_the_user_has_set_counts(monkeypatch):
    monkeypatch.setattr(threads, "_quotas", lambda root: [2.0])
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    settle_threads()
    assert choose_threads() == (2, 3, 2, "active")


@pytest.mark.parametrize(
    ("given", "op_threads", "lanes"), [("3", 3, 3), ("3,2", 3, 3), ("99", 99, 8), ("0", 8, 8), ("many", 8, 8)]
)
def test_omp_num_threads_is_read_as_openmp_reads_it(monkeypatch, given, op_threads, lanes):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert choose_threads()[1:3] == (op_threads, lanes)


def test_the_log_says_in_one_line_what_was_chosen(caplog):
    caplog.set_level(logging.INFO, logger="mlic.threads")
    settle_threads()
    log_threads()
    assert [record.getMessage() for record in caplog.records] == [
        "threads: 8 cores; 8 threads an operation, or 8 lanes of one; waiting passive"
    ]


def test_threads_are_settled_without_torch_and_torch_follows():
    code = (
        "import sys; from mlic.threads import choose_threads, settle_threads; settle_threads()\n"
        "assert 'torch' not in sys.modules\n"
        "import torch; assert torch.get_num_threads() == choose_threads().op_threads == 1"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
