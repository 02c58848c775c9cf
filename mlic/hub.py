"""Models on the Hugging Face hub: `hf://user/name` to a folder on this disk, and a folder to the hub."""

import re
from pathlib import Path

from mlic.errors import DownloadError, UsageError

__all__ = ["fetch", "is_on_hub", "push"]

_NAME = re.compile(r"hf:/{1,2}(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^@]+))?")
_EXPECTED = "expected hf://user/name, or hf://user/name@revision"


def is_on_hub(path: str | Path) -> bool:
    """Says whether a path means a model on the hub; one that has been a `Path` has lost a slash.

    Example:
        >>> is_on_hub("hf://user/name"), is_on_hub(Path("hf://user/name")), is_on_hub("best.ckpt")
        (True, True, False)
    """
    return str(path).startswith("hf:/")


def fetch(path: str | Path) -> Path:
    """Downloads a model once, and returns its folder in the cache of the hub.

    Args:
        path: `hf://user/name`, with `@revision` for a branch, a tag or a commit.

    Raises:
        UsageError: if the name is none of a model.
        DownloadError: if there is no such model, or the hub cannot be reached.
    """
    named = _NAME.fullmatch(str(path))
    if named is None:
        raise UsageError(f"'{path}' names no model on the hub; {_EXPECTED}")
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            named["repository"],
            revision=named["revision"],
            allow_patterns=["config.json", "model.safetensors"],
            library_name="mlic",
        )
    except Exception as error:  # the hub's own errors, or those of whichever HTTP library this release is built on
        raise DownloadError(f"{path} cannot be fetched ({_first_line(error)})") from error
    return Path(folder)


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Uploads a folder that `mlic export` wrote, and returns the address of the model.

    Who is logged in (`hf auth login`, or `HF_TOKEN`) is huggingface_hub's affair.

    Args:
        folder: with a model card, `README.md`, in it.
        repository: `user/name`; made if it is not there.
        private: whether a repository that is made can be seen by its owner alone.

    Raises:
        UsageError: if it is no such folder, or the name is none of a repository.
        DownloadError: if the hub cannot be reached, or refuses.
    """
    if not (folder / "README.md").is_file():
        raise UsageError(
            f"{folder}: holds no model card; mlic export --ckpt_path best.ckpt --format onnx,safetensors "
            f"--output {folder}/ writes such a folder"
        )
    repository = repository.removeprefix("hf://")
    if _NAME.fullmatch(f"hf://{repository}") is None:
        raise UsageError(f"'{repository}' names no repository; expected user/name")
    import huggingface_hub

    hub = huggingface_hub.HfApi(library_name="mlic")
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="A model by mlic")
    except Exception as error:  # as above
        raise DownloadError(
            f"{folder} cannot be pushed to {repository} ({_first_line(error)}); hf auth login says who you are"
        ) from error
    return f"{huggingface_hub.constants.ENDPOINT}/{repository}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
