import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import mlic.plugins
from mlic.errors import PluginError
from mlic.plugins import KINDS, Plugin, available, find, load

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


class Distribution:
    def __init__(self, name: str, version: str = "1.0") -> None:
        self.name, self.version = name, version


def entry(name: str, value: str, distribution: str) -> EntryPoint:
    point = EntryPoint(name, value, "mlic.heads")
    vars(point)["dist"] = Distribution(distribution)
    return point


@pytest.fixture
def installed(monkeypatch):
    """Pretends that these distributions are installed."""

    def install(*points: EntryPoint) -> None:
        monkeypatch.setattr(mlic.plugins, "entry_points", lambda group: points if group == "mlic.heads" else ())

    return install


def test_every_built_in_part_imports():
    for kind in KINDS:
        for plugin in available(kind):
            if plugin.built_in:
                assert load(plugin).__name__ == plugin.class_path.rpartition(".")[2]


def test_the_parts_of_the_main_job_are_there():
    names = {kind: {part.name for part in available(kind)} for kind in KINDS}
    assert {"inception_v3", "efficientnet_lite0", "timm"} <= names["backbones"]
    assert "linear" in names["heads"]
    assert {"bce", "focal", "asymmetric"} <= names["losses"]
    assert {"csv", "sidecar"} <= names["readers"]
    assert "image" in names["datamodules"]


def test_an_unknown_name_is_told_with_the_nearest_and_all_names():
    with pytest.raises(PluginError) as raised:
        find("losses", "asymetric")
    first, second = str(raised.value).splitlines()
    assert first == "no loss is called 'asymetric'; did you mean 'asymmetric'?"
    assert second.startswith("losses: an_ls, asymmetric, bce, ")
    assert second.endswith(", wan, zlpr")


def test_a_built_in_wins_with_a_warning_that_names_the_other(installed):
    installed(entry("linear", "other:Head", "other"), entry("linear", "mlic.heads.linear:LinearHead", "mlic"))
    with pytest.warns(UserWarning, match=r"write other:linear"):
        assert find("heads", "linear").distribution == "mlic"
    assert find("heads", "other:linear").class_path == "other.Head"


def test_two_plugins_of_one_name_are_an_error_that_tells_them_apart(installed):
    installed(entry("max", "a.heads:Max", "a"), entry("max", "b:Max", "b"))
    with pytest.raises(PluginError, match=r"write a:max or b:max, or the full path \(a\.heads\.Max, b\.Max\)"):
        find("heads", "max")
    assert find("heads", "b:max").class_path == "b.Max"


def test_a_plugin_that_does_not_import_is_told_with_distribution_version_and_cause(installed):
    installed(entry("broken", "no_such_module:Head", "brittle"))
    with pytest.raises(PluginError, match=r"'broken' of brittle 1\.0 .*ModuleNotFoundError: No module named 'no_such"):
        load(find("heads", "broken"))


def test_a_broken_plugin_hurts_nobody_who_does_not_name_it(installed):
    installed(
        entry("broken", "no_such_module:Head", "brittle"), entry("linear", "mlic.heads.linear:LinearHead", "mlic")
    )
    assert load(find("heads", "linear")).__name__ == "LinearHead"


def test_third_parties_can_be_turned_off(installed, monkeypatch):
    installed(entry("max", "a:Max", "a"))
    monkeypatch.setenv("MLIC_DISABLE_PLUGINS", "1")
    assert available("heads") == []
    with pytest.raises(PluginError, match="MLIC_DISABLE_PLUGINS is set"):
        find("heads", "max")


def test_discovery_imports_no_part():
    code = (
        "import sys; import mlic.plugins as p; [p.available(k) for k in p.KINDS]; sys.exit('mlic.heads' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plugin_knows_whether_it_is_built_in():
    assert Plugin("heads", "linear", "x.Y", "mlic", "1").built_in
    assert not Plugin("heads", "linear", "x.Y", "mlic-example", "1").built_in
