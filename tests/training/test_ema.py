"""The moving average: values, warm-up, buffers, swapping."""

import pytest
import torch
from torch import nn

from rla_gym.training.ema import Ema


def network():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        net[0].weight.fill_(1.0)
    return net


def test_decay_warms_up_to_its_highest_value():
    net = network()
    ema = Ema({"net": net}, decay=0.15)
    expected = 1.0
    for n in range(4):
        with torch.no_grad():
            net[0].weight.fill_(float(n + 2))
        ema.update()
        decay = min(0.15, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * (n + 2)
        assert ema.shadow["net/0.weight"].flatten()[0].item() == pytest.approx(expected)


def test_buffers_are_copied():
    net = network()
    ema = Ema({"net": net}, decay=0.999)
    net[1].running_mean.fill_(5.0)
    net[1].num_batches_tracked.fill_(7)
    ema.update()
    assert torch.equal(ema.shadow["net/1.running_mean"], torch.full((2,), 5.0))
    assert ema.shadow["net/1.num_batches_tracked"].item() == 7


def test_average_is_owned():
    net = network()
    ema = Ema({"net": net}, decay=0.9)
    with torch.no_grad():
        net[0].weight.fill_(9.0)
    assert torch.equal(ema.shadow["net/0.weight"], torch.ones(2, 3))


def test_swapped_gives_the_weights_back_also_after_an_error():
    net = network()
    ema = Ema({"net": net}, decay=0.9)
    with torch.no_grad():
        net[0].weight.fill_(9.0)
    weight = net[0].weight
    with pytest.raises(RuntimeError, match="inside"), ema.swapped():
        assert torch.equal(net[0].weight, torch.ones(2, 3))
        raise RuntimeError("inside")
    assert net[0].weight is weight and torch.equal(weight, torch.full((2, 3), 9.0))
    assert torch.equal(ema.shadow["net/0.weight"], torch.ones(2, 3))


def test_load_refuses_another_model():
    ema = Ema({"net": network()}, decay=0.9)
    with pytest.raises(KeyError, match="other/weight"):
        ema.load({"other/weight": torch.zeros(1)}, updates=3)


def test_decay_out_of_range():
    with pytest.raises(ValueError, match="1.0"):
        Ema({"net": network()}, decay=1.0)
