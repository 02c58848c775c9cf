"""`mlic test`."""

from mlic.verbs.evaluate import evaluate

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Evaluates on the test samples."""
    evaluate("test", arguments, as_json)
