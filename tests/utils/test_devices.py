from __future__ import annotations

import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import Dream
from rla_gym.utils.devices import device_names, find_device


def test_a_device_that_is_there() -> None:
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
    assert device_names()[0] == "cpu"
    for name in device_names():
        assert find_device(name).type == torch.device(name).type


@pytest.mark.parametrize("name", ["cuda:77", "xpu", "nonsense", "", "cpu:x", "meta", None, 2.5])
def test_what_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=rf"device='{name}' cannot be used here \(.+\): choose one of cpu"):
        find_device(name)


def test_environments_and_dreams_check_it(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="'cuda:77' cannot be used here"):
        bundle.to("cuda:77")
    with pytest.raises(ValueError, match="'nonsense' cannot be used here"):
        Dream(bundle, 1, device="nonsense")
