import math

import pytest

from rla_gym.extras import require


def test_returns_the_module():
    assert require("math", extra="data") is math


def test_missing_module_says_what_to_install():
    with pytest.raises(ImportError, match=r'pip install "rla_gym\[encoders\]"') as caught:
        require("a_module_that_nobody_has", extra="encoders")
    assert "a_module_that_nobody_has" in str(caught.value)
