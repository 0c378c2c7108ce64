"""UniFormerV2's blocks: golden numbers of the published ones, and the folded attention against the plain one."""

import pytest
import torch
from conftest import fill_v1, golden, golden_input
from golden_cases import GRADIENT_TOLERANCE, OUTPUT_TOLERANCE, assert_probe, assert_within
from torch import Tensor, nn

from fragrant.layers.frame_tokens import FrameGrid, resized_positions
from fragrant.layers.global_uniblock import ConvPosition, GlobalUniBlock, OneQueryAttention
from fragrant.layers.local_uniblock import LocalRelation, LocalUniBlock
from fragrant.models.uniformer_v2_names import block_renamed

BLOCKS = {  # file -> our module from its build; published inputs -> ours; our output -> the published one
    "block_local_mhra": (
        lambda build: LocalRelation(build["d_model"], reduction=build["dw_reduction"]),
        lambda x: (x.permute(0, 2, 3, 4, 1).flatten(2, 3),),
        lambda y: y.unflatten(2, (3, 3)).permute(0, 4, 1, 2, 3),
    ),
    "block_local_uniblock": (
        lambda build: LocalUniBlock(build["d_model"], num_heads=build["n_head"], reduction=build["dw_reduction"]),
        lambda x: (x.transpose(0, 1).unflatten(0, (-1, 3)),),  # T = 3
        lambda y: y.flatten(0, 1).transpose(0, 1),
    ),
    "block_global_uniblock": (
        lambda build: GlobalUniBlock(build["d_model"], num_heads=build["n_head"], mlp_ratio=build["mlp_factor"]),
        lambda video, tokens: (video[0], tokens.transpose(0, 1)),
        lambda y: y[None],
    ),
}


def filled_block(name: str) -> tuple[nn.Module, dict[str, str]]:
    """A block with the weights of its golden file, and our name of each published one."""
    content = golden(f"uniformer_v2/{name}")
    state = fill_v1(content["state"])
    block = BLOCKS[name][0](content["build"])
    ours = block_renamed(state)
    block.load_state_dict(ours)
    return block.eval(), dict(zip(state, ours, strict=True))


@pytest.mark.parametrize("name", BLOCKS)
def test_golden_outputs_and_gradients(name):
    block, ours = filled_block(name)
    _, given, back = BLOCKS[name]
    for case in golden(f"uniformer_v2/{name}")["cases"]:
        block.zero_grad()
        inputs = [golden_input(**recipe).requires_grad_() for recipe in case["inputs"]]
        y = back(block(*given(*inputs)))
        assert_within(y, torch.tensor(case["output"]["y"]), OUTPUT_TOLERANCE * case["tolerance"]["y_std"], "y")
        (y * golden_input(case["inputs"][0]["seed"] + 1000, list(y.shape))).sum().backward()
        found = {f"input{at}": x.grad for at, x in enumerate(inputs)}
        parameters = dict(block.named_parameters())
        found |= {name: parameters[inner].grad for name, inner in ours.items() if inner in parameters}
        assert found.keys() == case["grads"].keys()
        for part, probe in case["grads"].items():
            assert_probe(found[part].reshape(probe["shape"]), probe, GRADIENT_TOLERANCE, f"gradient of {part}")


@pytest.mark.parametrize("name", ["block_local_mhra", "block_local_uniblock"])
def test_golden_training_on_batch_statistics(name):
    (case,) = golden(f"uniformer_v2/{name}")["train_bn"]
    block, ours = filled_block(name)
    _, given, back = BLOCKS[name]
    y = back(block.train()(*given(*(golden_input(**recipe) for recipe in case["inputs"]))))
    assert_probe(y, case["output"]["y"], OUTPUT_TOLERANCE, "y")
    buffers = dict(block.named_buffers())
    for part, values in case["running_after"].items():
        assert_within(buffers[ours[part]], torch.tensor(values), OUTPUT_TOLERANCE, part)


# ------------------------------------------------------------------------------------------------ the folded attention
def plain_attention(attention: OneQueryAttention, query: Tensor, tokens: Tensor) -> Tensor:
    """With keys and values of all tokens, by nn.MultiheadAttention."""
    plain = nn.MultiheadAttention(query.shape[1], attention.num_heads, batch_first=True).to(query.dtype)
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    state = dict(zip(names, attention.parameters(), strict=True))
    return torch.func.functional_call(plain, state, (query[:, None], tokens, tokens))[0][:, 0]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_folded_attention_is_the_plain_one(dtype, tolerance):
    torch.manual_seed(0)
    attention = OneQueryAttention(32, num_heads=4).to(dtype)
    nn.init.normal_(attention.qkv.bias)
    query, tokens = torch.randn(3, 32, dtype=dtype), 2 * torch.randn(3, 50, 32, dtype=dtype) + 1
    found = {}
    for name, function in (("folded", attention), ("plain", lambda *inputs: plain_attention(attention, *inputs))):
        inputs = [x.clone().requires_grad_() for x in (query, tokens)]
        attention.zero_grad()
        y = function(*inputs)
        (y * torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)).sum().backward()
        gradients = [parameter.grad.clone() for parameter in attention.parameters()]
        found[name] = [y.detach(), *(x.grad for x in inputs), *gradients]
    for folded, plain in zip(found["folded"], found["plain"], strict=True):
        torch.testing.assert_close(folded, plain, rtol=tolerance, atol=tolerance * plain.abs().max().item())
    of_keys = found["folded"][4][32:64]  # the gradient of the bias of the keys
    assert not of_keys.any()


def test_it_keeps_no_keys_and_values():
    attention, kept = OneQueryAttention(64, num_heads=4), []
    query, tokens = torch.randn(2, 64, requires_grad=True), torch.randn(2, 500, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        attention(query, tokens)
    of_tokens = {x.untyped_storage().data_ptr() for x in kept if x.numel() >= tokens.numel()}
    assert of_tokens == {tokens.untyped_storage().data_ptr()}


def test_weights_say_where_the_video_looks():
    weights = OneQueryAttention(32, num_heads=4).weights(torch.randn(2, 32), torch.randn(2, 9, 32))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))


# ----------------------------------------------------------------------------------------------------------- the start
def test_new_parts_change_nothing_at_first():
    x = torch.randn(2, 3, 10, 16)
    assert not LocalRelation(16)(x[:, :, 1:]).any()
    video = torch.randn(2, 16)
    assert torch.equal(GlobalUniBlock(16, num_heads=2)(video, x.flatten(1, 2)), video)
    assert not ConvPosition(16).bias.any()


def test_a_branch_is_skipped_for_a_whole_clip_or_not_at_all():
    torch.manual_seed(0)
    block = LocalUniBlock(16, num_heads=2, relations=0, drop_path=0.5).train()
    x = torch.randn(64, 2, 5, 16)
    same = (block(x) == x).flatten(1)
    assert torch.equal(same.any(1), same.all(1)) and 4 < same.all(1).sum() < 32  # a quarter skips both branches
    half = GlobalUniBlock(16, num_heads=2, drop_path=0.5).train()
    nn.init.ones_(half.mlp.fc2.bias)
    nn.init.ones_(half.attn.proj.bias)
    moved = half(torch.zeros(64, 16), x.flatten(1, 2))
    assert {0.0, 2.0, 4.0} == set(moved.flatten().tolist()) and (moved == moved[:, :1]).all()


# ------------------------------------------------------------------------------------------------------------- the grid
def test_patches_become_a_map_and_patches_again():
    patches, grid = torch.randn(2, 3, 6, 4), FrameGrid(2, 3)
    volume = grid.to_map(patches)
    assert volume.shape == (2, 4, 3, 2, 3) and torch.equal(volume[1, :, 2, 1, 2], patches[1, 2, 5])
    assert torch.equal(grid.to_patches(volume), patches)
    some = FrameGrid(2, 3, torch.tensor([[0, 5], [1, 2]]))
    volume = some.to_map(patches[:, :, :2])
    assert torch.equal(some.to_patches(volume), patches[:, :, :2])
    assert torch.equal(volume[0, :, 0, 1, 2], patches[0, 0, 1]) and not volume[0, :, :, 0, 1:].any()


def test_positions_are_resized_with_the_class_tokens_left_alone():
    positions = torch.randn(1 + 16, 8)
    assert resized_positions(positions, 4, 4) is positions
    other = resized_positions(positions, 8, 6)
    assert other.shape == (1 + 48, 8) and torch.equal(other[0], positions[0])
    ramp = torch.arange(4.0).repeat(4, 1).flatten()[:, None].repeat(1, 8)  # rises along a row
    wider = resized_positions(torch.cat([positions[:1], ramp]), 4, 8)[1:].view(4, 8, 8)
    assert (wider[:, 1:] > wider[:, :-1]).all() and torch.allclose(wider[0], wider[3])
    with pytest.raises(ValueError, match="14 positions are not a class token and a square"):
        resized_positions(torch.randn(14, 8), 4, 4)
