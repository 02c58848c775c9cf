"""`mlic validate`."""

from mlic.verbs.evaluate import evaluate

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Evaluates on the validation samples."""
    evaluate("validate", arguments, as_json)
