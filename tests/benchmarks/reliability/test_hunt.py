"""Some mutations of each kind of folder end in a clear error or in the same results; faults are seen as such."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability import report_mutations
from benchmarks.reliability.hunt import _judged, hunt, summary
from benchmarks.reliability.targets import make_targets


def test_no_mutation_is_a_fault(tmp_path: Path) -> None:
    found = summary(hunt(60, 11, tmp_path, make_targets(tmp_path / "made"), processes=0), 11)
    assert found["faults"] == []
    assert found["mutations"] == sum(found["outcomes"].values()) >= 60 and found["outcomes"]["error"] > 20
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report_mutations.START}\n{report_mutations.END}\nafter\n")
    report_mutations.write_block(found, page)
    assert f"| **all** | {found['mutations']} |" in page.read_text() and page.read_text().endswith("after\n")


def test_what_others_raise_is_a_fault(tmp_path: Path) -> None:
    copy = tmp_path / "mutated-1"
    with pytest.raises(ValueError) as caught:
        int(f"{copy}")
    assert _judged(caught.value, copy)[0] == "foreign"  # not raised in the package
