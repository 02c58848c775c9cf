"""The page at /: one HTML file with its style and script inside, and the policy that lets nothing else in."""

import base64
import hashlib
from importlib.resources import files

__all__ = ["page"]


def page() -> tuple[str, str]:
    """Returns the page, and its Content-Security-Policy: this very style and script, this server, nothing else."""
    folder = files("mlic.serve")
    html, style, script = ((folder / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script), policy


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
