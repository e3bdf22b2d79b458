"""AGT and its parts against hand-worked cases and an independent computation in NumPy."""

import numpy as np
import pytest
import torch

from agt_lib.fusion.agt import AGT, LAYOUTS
from agt_lib.fusion.amf import AMF
from agt_lib.fusion.cbt import CBT
from agt_lib.fusion.networks import build

DIMS = {"audio": 7, "video": 5, "text": 6}
HEADS, HEAD_WIDTH = 3, 4


def attention_rows(*rows):
    return torch.tensor([rows], dtype=torch.float32)


def judge(gate, attention, valid=None, gamma=0.5):
    n = attention.shape[-1]
    amf = AMF(8, 6, tuple("abcdefgh"[:n]), HEADS, HEAD_WIDTH, gate=gate, gamma=gamma)
    valid = torch.ones(1, n, dtype=torch.bool) if valid is None else valid
    similarity, lonely = amf.judge(attention, valid)
    return similarity[0].tolist(), lonely[0].tolist()


def test_a_token_that_attends_to_no_other_above_gamma_over_n_is_gated():
    # gamma / n = .5 / 3 = .1667: row 2's largest off the diagonal is .16, row 1's .17
    attention = attention_rows([0.5, 0.3, 0.2], [0.13, 0.7, 0.17], [0.16, 0.14, 0.7])
    similarity, lonely = judge("offdiag", attention)
    assert similarity == pytest.approx([0.3, 0.17, 0.16])
    assert lonely == [False, False, True]


def test_gamma_over_n_counts_only_the_tokens_that_are_there():
    # of two valid tokens the limit is .5 / 2 = .25
    attention = attention_rows([0.76, 0.24, 0], [0.26, 0.74, 0], [0.5, 0.5, 0])
    _, lonely = judge("offdiag", attention, torch.tensor([[True, True, False]]))
    assert lonely[:2] == [True, False]


def test_a_lone_token_is_never_gated():
    _, lonely = judge("offdiag", attention_rows([1.0, 0], [1.0, 0]), torch.tensor([[True, False]]))
    assert not lonely[0]


def test_the_gate_none_gates_nothing():
    assert judge("none", attention_rows([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]))[1] == [False] * 3


@pytest.mark.parametrize("n", [2, 3, 4])
def test_camfnet_z_warns_that_it_cannot_fire_with_four_tokens_or_fewer(n):
    with pytest.warns(UserWarning, match="never gate"):
        AMF(8, 6, tuple("abcd"[:n]), gate="camfnet_z")


def test_the_largest_z_score_of_n_numbers_is_n_minus_one_over_root_n():
    for n, limit in ((3, 1.1547), (5, 1.7889)):
        diagonal = torch.zeros(n)
        diagonal[0] = 1
        z, lonely = (
            judge("camfnet_z", torch.diag(diagonal)[None])
            if n > 4
            else _with_warning(torch.diag(diagonal)[None])
        )
        assert z[0] == pytest.approx(limit, abs=1e-4)
        assert lonely == [n > 4] + [False] * (n - 1)


def _with_warning(attention):
    with pytest.warns(UserWarning):
        return judge("camfnet_z", attention)


@pytest.mark.filterwarnings("ignore:camfnet_z can never")
@pytest.mark.parametrize("n", [4, 5])
def test_rounding_gates_none_of_equal_tokens(n):
    steps = torch.cartesian_prod(*[torch.arange(-1.0, 2)] * n)  # -1, 0 or 1 float apart
    for share in (0.21, 0.25, 0.3, 0.71):
        diagonals = share * (1 + steps * torch.finfo(torch.float32).eps)
        assert not any(any(judge("camfnet_z", torch.diag(d)[None])[1]) for d in diagonals)


@pytest.mark.filterwarnings("ignore:camfnet_z can never")
def test_rounding_does_not_gate_the_one_of_four_tokens_that_is_off():
    for step in np.geomspace(1e-6, 0.7, 200):
        diagonal = torch.full((4,), 0.25)
        diagonal[2] += step
        z, lonely = judge("camfnet_z", torch.diag(diagonal)[None])
        assert not any(lonely)
    assert z[2] == pytest.approx(1.5)


def test_z_scores_are_those_of_scipy_with_the_samples_standard_deviation():
    from scipy.stats import zscore

    diagonal = torch.tensor([0.1, 0.5, 0.2, 0.9, 0.3])
    z, _ = judge("camfnet_z", torch.diag(diagonal)[None])
    assert z == pytest.approx(zscore(diagonal.numpy(), ddof=1).tolist(), rel=1e-5)


def lonely_amf(n, lonely_token):
    """An AMF over n tokens of width n whose queries and keys are the tokens, times twenty."""
    amf = AMF(n, 6, tuple("abcd"[:n]), heads=1, head_width=n, gate="offdiag").eval()
    with torch.no_grad():
        amf.attention.qkv.weight.copy_(torch.cat([20 * torch.eye(n), torch.eye(n), torch.eye(n)]))
    x = torch.ones(1, n, n) * torch.tensor([1.0, -1.0] + [0.0] * (n - 2))
    x[0, lonely_token] = torch.tensor([0.0] * (n - 2) + [-1.0, 1.0]) if n > 2 else -x[0, 0]
    return amf, x


def test_a_gated_token_contributes_nothing_its_residual_included():
    amf, x = lonely_amf(4, lonely_token=2)
    valid = torch.ones(1, 4, dtype=torch.bool)
    logits, gate = amf(x, valid)
    assert gate.kept.tolist() == [[True, True, False, True]]
    without = valid.clone()
    without[0, 2] = False
    torch.testing.assert_close(logits, amf(x, without)[0])
    assert gate.tokens == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("valid", "kept"), [([True, True], [True, False]), ([False, True], [False, True])]
)
def test_where_all_tokens_would_go_the_first_present_stays(valid, kept):
    amf, x = lonely_amf(2, lonely_token=1)
    _, gate = amf(x, torch.tensor([valid]))
    assert gate.kept.tolist() == [kept]


def test_similarity_is_nan_where_no_token_is():
    amf, x = lonely_amf(4, lonely_token=2)
    _, gate = amf(x, torch.tensor([[True, False, True, True]]))
    assert gate.similarity.isnan().tolist() == [[False, True, False, False]]


@pytest.mark.parametrize(
    ("layout", "tokens"),
    [
        ("slot_sum", ("audio", "video", "text")),
        ("pair_sum", ("audio", "video+text")),
        ("drop_guide", ("audio", "video", "text")),
        ("channel", ("audio+video+text",)),
    ],
)
def test_each_layout_gives_amf_its_tokens(layout, tokens):
    network = build("agt", DIMS, 6, width=8, layout=layout).eval()
    inputs = {m: torch.randn(1, d) for m, d in DIMS.items()}
    _, gate = network(inputs, torch.ones(1, 3, dtype=torch.bool), return_gate=True)
    assert gate.tokens == tokens
    assert gate.valid.shape == (1, len(tokens))


def test_drop_guide_keeps_audio_only_where_a_clip_has_nothing_else():
    network = build("agt", DIMS, 6, width=8, layout="drop_guide").eval()
    inputs = {m: torch.randn(2, d) for m, d in DIMS.items()}
    present = torch.tensor([[True, True, True], [True, False, False]])
    _, gate = network(inputs, present, return_gate=True)
    assert gate.valid.tolist() == [[False, True, True], [True, False, False]]


def test_shared_channels_have_one_set_of_weights_and_separate_ones_two():
    assert len(build("agt", DIMS, 6, share_cbt=True).cbt) == 1
    assert len(build("agt", DIMS, 6, share_cbt=False).cbt) == 2


def layer_norm(x, norm):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + norm.eps) * array(norm.weight) + array(norm.bias)


def linear(x, layer):
    bias = 0 if layer.bias is None else array(layer.bias)
    return x @ array(layer.weight).T + bias


def array(parameter):
    return parameter.detach().double().numpy()


def attend(x, layer):
    """Multi-head self-attention of one clip's tokens (n, d), and its weights (heads, n, n)."""
    qkv = linear(layer_norm(x, layer.norm), layer.qkv)
    size = HEADS * HEAD_WIDTH
    mixed, all_weights = [], []
    for h in range(HEADS):
        part = slice(h * HEAD_WIDTH, (h + 1) * HEAD_WIDTH)
        q, k, v = (
            qkv[:, :size][:, part],
            qkv[:, size : 2 * size][:, part],
            qkv[:, 2 * size :][:, part],
        )
        weights = np.exp(q @ k.T / np.sqrt(HEAD_WIDTH))
        weights /= weights.sum(1, keepdims=True)
        mixed.append(weights @ v)
        all_weights.append(weights)
    return linear(np.concatenate(mixed, 1), layer.out[0]), np.stack(all_weights)


def gelu(x):
    from scipy.special import erf

    return x * (1 + erf(x / np.sqrt(2))) / 2


def cbt_in_numpy(x, cbt):
    x = x + attend(x, cbt.attention[0])[0]
    norm, up, _, _, down, _ = cbt.feedforward[0]
    return x + linear(gelu(linear(layer_norm(x, norm), up)), down)


def test_agt_equals_equation_2_computed_in_numpy():
    torch.manual_seed(0)
    network = build("agt", DIMS, 6, width=8, heads=HEADS, head_width=HEAD_WIDTH).double().eval()
    inputs = {m: torch.randn(1, d, dtype=torch.float64) for m, d in DIMS.items()}
    token = {}
    for m, x in inputs.items():
        project, norm, *_ = network.inputs.layers[m]
        token[m] = np.maximum(layer_norm(linear(x.numpy(), project), norm), 0)
    a1, v = cbt_in_numpy(np.concatenate([token["audio"], token["video"]]), network.cbt[0])
    a2, t = cbt_in_numpy(np.concatenate([token["audio"], token["text"]]), network.cbt[1])
    x = np.stack([a1 + a2, v, t])
    mixed, weights = attend(x, network.amf.attention)
    off_diagonal = (weights.mean(0) * (1 - np.eye(3))).max(1)
    assert (off_diagonal > 0.5 / 3).all(), "the case must not gate"
    pooled = layer_norm((x + mixed).mean(0), network.amf.norm)
    expected = linear(pooled, network.amf.classifier)
    found, gate = network(inputs, torch.ones(1, 3, dtype=torch.bool), return_gate=True)
    np.testing.assert_allclose(found[0].detach(), expected, rtol=1e-9)
    np.testing.assert_allclose(gate.similarity[0], off_diagonal, rtol=1e-5)


def test_camfnets_cbt_and_amf_without_gate_equal_theirs_computed_in_numpy():
    """Each layer adds attention over its normed input; AMF likewise, then the tokens' mean."""
    torch.manual_seed(1)
    cbt = CBT(8, HEADS, HEAD_WIDTH, depth=2, dropout=0.5, ffn=False).double().eval()
    amf = AMF(8, 6, ("a", "b", "c"), HEADS, HEAD_WIDTH, gate="none", gamma=3.0).double().eval()
    x, valid = torch.randn(1, 3, 8, dtype=torch.float64), torch.ones(1, 3, dtype=torch.bool)
    expected = x[0].numpy()
    for layer in (*cbt.attention, amf.attention):
        expected = expected + attend(expected, layer)[0]
    expected = linear(layer_norm(expected.mean(0), amf.norm), amf.classifier)
    found, gate = amf(cbt(x, valid), valid)
    assert (gate.similarity < 1).all(), "with a gate of this gamma all tokens would fall"
    np.testing.assert_allclose(found[0].detach(), expected, rtol=1e-9)


def test_a_cbt_without_feed_forward_has_attention_alone():
    names = {name.split(".")[0] for name, _ in CBT(8, 3, 64, 1, 0.5, ffn=False).named_parameters()}
    assert names == {"attention"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_linear_path_is_zero_at_first_and_then_adds_a_map_of_each_present_modality(layout):
    torch.manual_seed(0)
    dims = {"audio": 5, "video": 4, "text": 3}
    network = AGT(dims, 3, width=8, gate="none", layout=layout, linear_path=True).eval()
    plain = AGT(dims, 3, width=8, gate="none", layout=layout).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if "path" not in k})
    inputs = {m: torch.randn(6, d) for m, d in dims.items()}
    present = torch.tensor([[True, True, True]] * 3 + [[True, False, True]] * 3)
    torch.testing.assert_close(network(inputs, present), plain(inputs, present))
    for linear in network.path.maps.values():
        torch.nn.init.normal_(linear.weight)
    added = network(inputs, present) - plain(inputs, present)
    expected = sum(
        inputs[m] @ network.path.maps[m].weight.T * present[:, [k]] for k, m in enumerate(dims)
    )
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-5)


def test_a_gated_or_absent_modality_has_no_part_in_the_linear_path():
    torch.manual_seed(0)
    dims = {"audio": 5, "video": 4, "text": 3}
    network = AGT(dims, 3, width=8, gamma=1.2, linear_path=True).eval()
    for linear in network.path.maps.values():
        torch.nn.init.normal_(linear.weight, std=5)
    inputs = {m: torch.randn(64, d) for m, d in dims.items()}
    present = torch.rand(64, 3) < 0.8
    present[:, 0] = True
    logits, gate = network(inputs, present, return_gate=True)
    gated = gate.valid & ~gate.kept
    assert gated.any(), "no gate fires: this test sees nothing"
    assert not gated.all(1).any()
    plain = AGT(dims, 3, width=8, gamma=1.2).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if "path" not in k})
    without = plain(inputs, present)
    expected = sum(
        inputs[m] @ network.path.maps[m].weight.T * (present & ~gated)[:, [k]]
        for k, m in enumerate(dims)
    )
    torch.testing.assert_close(logits - without, expected, rtol=1e-3, atol=1e-4)
