"""What tests of the benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.baselines import budget
from tests import narrow


@pytest.fixture(scope="module")
def brief_timing() -> Iterator[None]:
    """Two steps are timed, not seventeen: what a step costs is not at issue here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "WARM", 0)
        patch.setattr(budget, "MEASURED", 1)
        yield


@pytest.fixture(scope="module")
def narrow_presets() -> Iterator[None]:
    """Presets of networks that train in milliseconds a step."""
    with narrow.narrow_presets():
        yield
