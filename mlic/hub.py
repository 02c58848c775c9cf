"""Models on the Hugging Face hub: `hf://user/name` to a folder on this disk, and a folder to the hub."""

import re
from pathlib import Path

from mlic.errors import DownloadError, UsageError

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "fetch", "files_of", "is_on_hub", "push"]

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
"""What a folder that `mlic export --format safetensors` wrote holds."""

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
        DownloadError: if there is no such model, it is none of mlic, or the hub cannot be reached.
    """
    named = _NAME.fullmatch(str(path))
    if named is None:
        raise UsageError(f"'{path}' names no model on the hub; {_EXPECTED}")
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            named["repository"],
            revision=named["revision"],
            allow_patterns=[CONFIG_FILE, WEIGHTS_FILE],
            library_name="mlic",
        )
    except Exception as error:  # the hub's own errors, or those of whichever HTTP library this release is built on
        raise DownloadError(f"{path} cannot be fetched ({_first_line(error)})") from error
    if not (Path(folder) / CONFIG_FILE).is_file() or not (Path(folder) / WEIGHTS_FILE).is_file():
        raise DownloadError(
            f"{path} holds no {CONFIG_FILE} and {WEIGHTS_FILE}; what mlic export --format safetensors has written, and "
            "mlic push has put there, is loaded by its name"
        )
    return Path(folder)


def files_of(checkpoint: str | Path) -> list[Path]:
    """Returns the files that decide what a model says: a checkpoint itself, or those of a folder or of the hub.

    Args:
        checkpoint: a file, a folder that `mlic export --format safetensors` wrote, or `hf://user/name`.

    Raises:
        DownloadError: as `fetch` does.
    """
    path = fetch(checkpoint) if is_on_hub(checkpoint) else Path(checkpoint)
    return [path / CONFIG_FILE, path / WEIGHTS_FILE] if path.is_dir() else [path]


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
    named = _NAME.fullmatch(f"hf://{repository}")
    if named is None or named["revision"] is not None:
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
