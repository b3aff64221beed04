"""What of a token store is safely on disk while it is being written."""

from __future__ import annotations

from typing import Any

from rla_gym.data.store import MOTION_NAME, PCA_NAME, expect
from rla_gym.utils.digests import check_intact, read_object, with_digest
from rla_gym.utils.files import write_json
from rla_gym.utils.outputs import Output
from rla_gym.utils.typed import check

JOURNAL_NAME = "journal.json"
TOKENS_NAME, PART_NAME, ENCODER_NAME = "tokens.npy", "tokens.npy.part", "encoder.safetensors"
MADE_FILES = (PCA_NAME, MOTION_NAME, PART_NAME, TOKENS_NAME, "arrays.npz", ENCODER_NAME)


class Journal:
    """Rows that are safely in `tokens.npy.part`, and what they were made from.

    Raises:
        ValueError: the store was begun from something else.
    """

    def __init__(self, output: Output, made_from: dict[str, Any]) -> None:
        path = output.folder / JOURNAL_NAME
        self.path, self.made_from, self.rows = path, made_from, 0
        if path.is_file():
            begun, intact = read_object(path)
            check_intact(path, intact, "remove the folder and encode again")
            for name, value in made_from.items():
                expect(path.parent, f"{name} of the unfinished store", begun.get(name), value)
            self.rows = check(int, begun.get("rows"), path, "remove the folder and encode again", "rows")
            if self.rows < 0:
                raise ValueError(f"{path}: rows is {self.rows}: remove the folder and encode again")
        else:
            # Whatever lies there without a journal or an index is of another making, though by this command.
            output.unlink(MADE_FILES)
            self.write(0)

    def write(self, rows: int) -> None:
        """Note that `rows` rows are there."""
        self.rows = rows
        write_json(self.path, with_digest({**self.made_from, "rows": rows}))
