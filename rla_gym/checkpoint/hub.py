"""Checkpoints from the Hugging Face hub, named `owner/name@revision`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rla_gym.utils.optional import require


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form `owner/name@revision`."""
    return text.count("/") == 1 and "@" in text and not text.startswith((".", "~"))


def download(text: str, files: Sequence[str], instead: str) -> Path:
    """Folder of the hub repository `text`, in the hub's own cache: what is there already is not downloaded again.

    Args:
        text: `owner/name@revision`; without a revision after the @, the default branch.
        files: what to fetch of it; nothing else is.
        instead: what there is without a download, for the error's text.

    Raises:
        ConnectionError: no connection, no such repository or revision, or no access to it.
        ImportError: the package huggingface_hub is missing.
    """
    repository, _, revision = text.partition("@")
    hub = require("huggingface_hub", extra="hub")
    try:
        return Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(files)))
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"could not get the checkpoint {text!r} from the Hugging Face hub ({type(error).__name__}: {error}). Go "
            "online and check owner, name and revision (private ones need `hf auth login`), or give the path of a "
            f"checkpoint's folder; {instead}"
        ) from error
