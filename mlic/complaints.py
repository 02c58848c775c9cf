"""What jsonargparse says about a wrong configuration, in one or two lines."""

import inspect
import re

from mlic.errors import did_you_mean
from mlic.parts import resolve

__all__ = ["condense"]

_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"class_path[ =]'([^']+)'")
_NOT_ACCEPTED = re.compile(r"Option '([^']+)' is not accepted")
_GROUP = re.compile(r"Group '([^']*)' does not accept option '([^']+)'")
_REQUIRED = re.compile(r"following arguments are required: (.+)")
_EXPECTED = re.compile(r"Expected a (?:<class '(?:\w+\.)*(\w+)'>|(.+?))(?=\. Got value|$)", re.MULTILINE)
_MISSING = re.compile(
    r"(No module named '[^']+'|module '[^']+' has no attribute '[^']+'|[\w.]+ is not a subclass of .+)"
)
_NO_PATH = re.compile(r"Expected a dot import path string: (.+)")
_GOT = re.compile(r"(?:Given value: |Got value: )(.+?)(?=\. Got value|$)", re.MULTILINE)
_UNRECOGNISED = re.compile(r"unrecognized arguments: (.+)")
_SECTIONS = ("seed_everything", "trainer", "model", "data", "ckpt_path", "name")
_SECTION_LIST = f"\nits sections: {', '.join(_SECTIONS)}"
_GROUPS = {"model": "mlic.classifier.MultiLabelClassifier", "trainer": "pytorch_lightning.Trainer"}


def condense(complaint: str) -> str:
    r"""Returns the key, what was found there and what was expected.

    jsonargparse 4.53 lists every member of every union that a value did not match, up to 60 lines.

    Example:
        >>> condense('Parser key "trainer.max_epochs":\n  Expected a <class \'int\'>. Got value: three')
        "trainer.max_epochs is 'three'; expected int"
    """
    key = ".".join(_KEY.findall(complaint))
    if found := _GROUP.search(complaint):
        group, option = found.group(1), found.group(2).split(".")[0]
        if not group:
            return f"the configuration has no section '{option}'{did_you_mean(option, _SECTIONS) or _SECTION_LIST}"
        return f"{group} has no option '{option}'{_near(option, _GROUPS.get(group))}"
    if found := _UNRECOGNISED.search(complaint):
        words = found.group(1)
        return f"unrecognized arguments: {words}{_near_word(words.split()[0])}; --help-all lists all"
    if found := _NOT_ACCEPTED.search(complaint):
        # The innermost class is the one that was offered the option.
        classes = _CLASS.findall(complaint[: found.start()]) or _CLASS.findall(complaint)
        of = f" ({classes[-1]})" if classes else ""
        return f"{key}{of} has no option '{found.group(1)}'{_near(found.group(1), classes[-1] if classes else None)}"
    if found := _REQUIRED.search(complaint):
        names = [_required(key, name.strip()) for name in found.group(1).split(",")]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} required; --help tells more"
    if found := _NO_PATH.search(complaint):
        return f"{key} is '{found.group(1)}', which is no class known here; write its full path: package.module.Class"
    got = _GOT.findall(complaint)
    value = f" is '{got[0].removesuffix('.')}'" if got else ""
    if found := _MISSING.search(complaint):
        return f"{key}{value}: {found.group(1)}"
    kinds = [kind or words.strip() for kind, words in _EXPECTED.findall(complaint)]
    if key and kinds:
        names = ["null" if kind == "NoneType" else kind.removeprefix("typing.") for kind in kinds]
        expected = " or ".join(sorted(dict.fromkeys(names), key=lambda name: name == "null"))
        return f"{key}{value}; expected {expected}"
    lines = [line.strip(" -") for line in complaint.splitlines() if line.strip(" -")]
    return "; ".join(lines[:2])


def _required(key: str, name: str) -> str:
    return f"--{key}.{name}" if key else "PATH" if name == "paths" else f"--{name}"


def _near_word(word: str) -> str:
    """Suggests an option for a word of the command line that is none."""
    section, _, option = word.removeprefix("--").split("=")[0].rpartition(".")
    known = _GROUPS.get(section)
    return "" if known is None else _near(option, known).split("\n")[0]


def _near(option: str, class_path: str | None) -> str:
    """Suggests the option of a class that was probably meant, and lists all where none is near."""
    if class_path is None:
        return ""
    try:
        options = [name for name in inspect.signature(resolve(class_path)).parameters if name not in ("args", "kwargs")]
    except (ImportError, AttributeError, ValueError, TypeError):
        return ""
    return did_you_mean(option, options) or f"\nits options: {', '.join(options)}"
