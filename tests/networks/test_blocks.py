"""Parts of networks that have a truth of their own."""

import torch

from reverie.example import ENTRIES, Condition, entries
from reverie.networks.base import Block
from reverie.networks.blocks import between
from reverie.networks.unet import UNet


def test_what_is_between_known_values_is_on_the_line_and_beyond_them_as_the_nearest():
    value = torch.tensor([[[9.0, 2, 9, 9, 8, 9], [1, 9, 9, 9, 9, 9], [9, 9, 9, 9, 9, 9]]])
    known = torch.tensor([[[0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]]).bool()
    assert between(value, known).tolist() == [[[2, 2, 4, 6, 8, 8], [1] * 6, [0] * 6]]
    assert torch.equal(between(value, torch.ones_like(known)), value)


def test_a_u_net_that_is_told_nothing_known_is_told_nothing():
    torch.manual_seed(0)
    net = UNet.sized("tiny", {"values": Block((2, 24))}, takes_entries=True).eval()
    for p in net.last.parameters():
        torch.nn.init.normal_(p)
    x, level = torch.randn(3, 2, 24), torch.zeros(3)
    known = torch.rand(3, 2, 24) < 0.5
    told = entries(x, known)
    untold = net(x, level, {})
    assert torch.equal(net(x, level, {ENTRIES: told.absent()}), untold)
    assert torch.equal(net(x, level, {ENTRIES: entries(x, torch.zeros_like(known))}), untold)
    some = net(x, level, {ENTRIES: Condition(told.value, torch.tensor([True, False, False]))})
    assert not torch.allclose(some[0], untold[0])
    assert torch.allclose(some[1:], untold[1:], atol=1e-5)
    assert UNet(**net.config).takes_entries
