"""Transformers and recipes: against torch's own layers, installed code bases, and theory against measurement.

A random check fails by chance about once in 10⁵ runs (4.5 standard errors); each names a wrong formula that it sees.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import initnotes as ini
from initnotes import layers, recipes
from initnotes.examine import ensembles
from initnotes.networks import Transformer, join
from initnotes.networks.attention import attend
from initnotes.networks.training import cross_entropy, sweep, train
from initnotes.recipes import ROLES, Drawn, Sizes
from initnotes.theory import attention_entropy, initial_loss

SEED = 20261201
SIGMAS = 4.5
V, T, D, L = 11, 6, 16, 2
SMALL = Sizes(768, 3072, 12, 64)
FORMS = {
    "nanogpt": {},
    "torchtitan_llama3": {},
    "nanochat": {},
    "t5": {},
    "post": {"place": "post", "positions": True},
    "none, full": {"place": "none", "causal": False, "attention_scale": 1 / 4, "multiplier": 0.5},
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def transformer_stream(name, *sizes, **form):
    return ini.theory.transformer_stream(recipes.get(name), *sizes, **form)


def made(name="nanogpt", replicas=3, **form):
    known = name in recipes.known()
    net = Transformer(V, T, D, L, name if known else "nanogpt", rng=rng(), heads=4, replicas=replicas, **form)
    for weight in net.weights:  # zeros would hide a part, and 0.02 is too small for attention to be seen
        weight.copy_(torch.from_numpy(rng(weight.numel()).standard_normal(weight.shape) / weight.shape[2] ** 0.5))
    return net


def tokens(batch=4, seed=SEED):
    return rng(seed).integers(0, V, (batch, T))


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_the_list_has_code_bases_that_can_be_looked_up():
    known = recipes.known()
    assert len({own.repository for own in known.values()}) >= 8
    for own in known.values():
        assert own.read, own.name
        assert len(own.commit) == 40 or own.commit.startswith("v"), own.name
        assert own.address.startswith("https://github.com/")
        assert {"token", "query", "key", "value", "attention_out", "mlp_in", "mlp_out"} <= set(own.laws) <= set(ROLES)
        for role in ROLES:
            assert own.std(role, SMALL, block=3) >= 0


AT_768 = {  # worked out by hand: d = 768, f = 3072, L = 12, h = 64, block 3 of 0 … 11
    ("gpt2", "position"): 0.01,
    ("gpt2", "mlp_out"): 0.02,
    ("nanogpt", "mlp_out"): 0.004082483,
    ("megatron", "attention_out"): 0.004082483,
    ("neox", "query"): 0.022821773,
    ("neox", "attention_out"): 0.006014065,
    ("olmo_mitchell", "query"): 0.036084392 * 0.986579,
    ("olmo_mitchell", "attention_out"): 0.012757759 * 0.986579,
    ("olmo_mitchell", "mlp_out"): 0.006378880 * 0.986579,
    ("olmo_full_megatron", "head"): 0.036084392 * 0.986579,
    ("torchtitan_llama3", "mlp_in"): 0.02,
    ("torchtitan_llama3", "mlp_up"): 0.007071068,
    ("nanochat", "mlp_in"): 0.014433757,
    ("nanochat", "mlp_out"): 0.0,
    ("t5", "query"): 0.004510549,
    ("t5", "mlp_out"): 0.018042196,
}


@pytest.mark.parametrize(("name", "role"), AT_768)
def test_laws_have_the_values_that_were_worked_out(name, role):
    assert recipes.get(name).std(role, SMALL, block=3) == pytest.approx(AT_768[name, role], rel=1e-5)


@pytest.mark.parametrize(
    "law", ["normal(0.02, 1)", "cut(0.02)", "normal(x)", "normal(d ** 2)", "lognormal(1)", "normal(-1)"]
)
def test_a_law_that_cannot_be_read_is_refused(law):
    wrong = replace(recipes.get("gpt2"), laws={**recipes.get("gpt2").laws, "query": law})
    with pytest.raises(ValueError, match=r"a law must be|a formula may have"):
        wrong.std("query", SMALL)


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'nanogpt'"):
        recipes.get("nanoGTP")
    with pytest.raises(ValueError, match="unknown role"):
        recipes.get("gpt2").law("querry")
    with pytest.raises(ValueError, match="block must be below 12"):
        recipes.get("gpt2").std("query", SMALL, block=12)
    with pytest.raises(ValueError, match="heads must divide"):
        recipes.get("gpt2").form(10, 3)
    with pytest.raises(ValueError, match="unknown setting 'plac'; did you mean 'place'"):
        recipes.get("gpt2").form(12, 3, plac="post")
    with pytest.raises(TypeError, match="gated must be True or False"):
        recipes.get("gpt2").form(12, 3, gated=1)


@pytest.mark.parametrize("law", [Drawn("normal", 0.3), Drawn("uniform", 0.3), Drawn("cut", 0.3, 1.5)])
def test_draws_have_the_law_that_is_said(law):
    drawn = law.sample((300, 300), rng())
    assert drawn.std() == pytest.approx(law.std((300, 300)), rel=SIGMAS / 300 / math.sqrt(2) * 1.5)
    if law.family != "normal":
        assert abs(drawn).max() <= {"uniform": 0.3 * math.sqrt(3), "cut": 0.45}[law.family]
    if law.family == "cut":  # which is not rescaled: without the factor it would be 0.3
        assert drawn.std() < 0.25


def test_at_a_small_width_a_matrix_means_what_it_means_at_the_width_it_was_written_for():
    small, recipe = Sizes(64, 256, 12, 16), recipes.get("nanogpt")
    for role, fans in {"query": (768, 64), "mlp_out": (3072, 256)}.items():
        there, here = recipe.std(role, SMALL), recipe.std(role, small, like=768)
        assert here * math.sqrt(fans[1]) == pytest.approx(there * math.sqrt(fans[0]))
    assert recipe.std("token", small, like=768) == recipe.std("head", small, like=768) == 0.02
    t5 = recipes.get("t5")  # fan-in laws stay what they are, the head's width as it is here
    assert t5.std("query", small, like=768) == pytest.approx(t5.std("query", small))


# --- the network against torch's layers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
def test_outputs_and_gradients_are_those_of_torchs_layers(name):
    net, x, y = made(name, **FORMS[name]), tokens(), torch.from_numpy(tokens(seed=1))
    signals = net.forward(x.astype(float))
    losses, delta = cross_entropy(signals.output, y.expand(3, -1, -1))
    gradients = net.backward(signals, delta)
    for replica in range(3):
        twin = net.twin(replica)
        logits = twin(torch.from_numpy(x))
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        assert torch.allclose(signals.output[replica], logits.detach().flatten(0, 1), atol=1e-10)
        assert float(losses[replica]) == pytest.approx(float(loss.detach()))
        loss.backward()
        for (role, block), found in zip(net.roles, gradients.weights, strict=True):
            own = twin.layer(role, block).weight.grad
            assert torch.allclose(found[replica], own.mT if role in recipes.LOOKUPS else own, atol=1e-10), (role, block)
    assert all((bias == 0).all() for bias in gradients.biases)


@pytest.mark.parametrize(
    "other",
    [
        {"attention_scale": 1 / 4},
        {"causal": False},
        {"norm": "rms"},
        {"qk_norm": True},
        {"activation": "relu"},
        {"place": "post"},
        {"multiplier": 0.5},
        {"head_multiplier": 0.5},
        {"embedding_norm": True},
    ],
)
def test_each_setting_matters(other):
    plain, changed, x = made(), made(**other), tokens().astype(float)
    changed.parameters.copy_(plain.parameters)
    assert float((plain(x) - changed(x)).abs().max()) > 1e-3


def test_only_what_comes_before_is_seen():
    before, after = tokens().astype(float), tokens().astype(float)
    after[:, 3] = (after[:, 3] + 1) % V
    for causal in (True, False):
        net = made(causal=causal)
        differ = (net(before) - net(after)).abs().amax((0, 2)).view(len(before), T)
        assert (differ[:, 3:] > 1e-6).all()
        assert bool((differ[:, :3] == 0).all()) == causal


def test_attention_is_torchs():
    q, k, v = torch.from_numpy(rng().standard_normal((3, 2, 5, 4)))
    for causal in (True, False):
        own, weights = attend(q, k, v, scale=0.3, causal=causal)
        peer = nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, scale=0.3)[0]
        assert torch.allclose(own, peer)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 5, dtype=torch.float64))


def test_a_glance_adds_up():
    net = made(multiplier=0.5)
    seen = net.look(tokens().astype(float))
    for before, branch, after in zip(seen.stream, seen.branches, seen.stream[1:], strict=False):
        assert torch.allclose(before + branch, after)
    assert seen.entropies.shape == (3, L)
    assert ((seen.entropies > 0) & (seen.entropies <= 1)).all()
    for weight, (role, _) in zip(net.weights, net.roles, strict=True):
        if role == "query":
            weight.zero_()
    assert np.allclose(net.look(tokens().astype(float)).entropies, 1)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (tokens().astype(float) + 0.5, "whole numbers 0 … 10"),
        (np.full((2, T), 11.0), "whole numbers 0 … 10, got 11 … 11"),
        (np.zeros((2, T + 1)), "inputs must have shape"),
        (tokens(), "floating-point"),
    ],
)
def test_wrong_tokens_are_refused(x, match):
    with pytest.raises((TypeError, ValueError), match=match):
        made()(x)


def test_parts_and_joints_keep_replicas():
    first, second = made(), made(replicas=2)
    second.parameters.add_(0.1)
    whole, x = join([first, second]), tokens().astype(float)
    assert torch.equal(whole(x), torch.cat([first(x), second(x)]))
    assert torch.equal(whole.part(slice(3, 5))(x), second(x))
    with pytest.raises(ValueError, match="form"):
        join([first, made(causal=False)])


@pytest.mark.parametrize("name", FORMS)
def test_the_examiner_sees_the_network(name):
    net, x = made(name, **FORMS[name]), tokens().astype(float)
    module = ensembles.as_module(net)
    assert torch.allclose(module(torch.from_numpy(x)).detach(), net(x), atol=1e-12)
    seen = str(ini.probe(net, x, loss=lambda out: (out**2).mean((1, 2))))
    assert all(f"{role}_1 " in seen for role in ("query", "attention_out", "mlp_in", "mlp_out"))


def test_an_audit_finds_what_is_planted_in_a_transformer():
    healthy, broken = made(), made()
    broken.weights[broken.roles.index(("mlp_in", 1))][:] = 0.5  # equal units
    for net, said in ((healthy, False), (broken, True)):
        for model, x in ((net, tokens().astype(float)), (net.twin(0), torch.from_numpy(tokens()))):
            assert ("mlp_in" in str(ini.audit(model, x))) == said


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language():
    return ini.data.markov(5, 2, spread=3.0, rng=rng(3))


def test_each_replica_of_a_sweep_trains_at_its_own_rate(language):
    x, y = language.sequences(20, 5, rng=rng())
    net = Transformer(5, 5, 8, 1, rng=rng(), heads=2, replicas=2)
    found = sweep({"own": net}, x, y, rates=[1e-3, 1e-1], budgets=[3], optimizer="adam", rng=rng(1))
    for at, rate in enumerate([1e-3, 1e-1]):
        alone = net.part(slice(0, 2))
        history = train(alone, x, y, optimizer="adam", lr=rate, steps=3, rng=rng(1))
        assert np.allclose(found.values["own"][0, at], history.loss[:, -1])
    assert not np.allclose(found.values["own"][0, 0], found.values["own"][0, 1])


def test_labels_are_those_of_tokens():
    x, y = tokens().astype(float), tokens(seed=1)
    with pytest.raises(ValueError, match="y must be 4×6 integer labels"):
        train(made(), x, y[:, 0], lr=0.1, steps=1, rng=rng())


def test_training_gets_below_the_plateaus_and_not_below_the_entropy(language):
    x, y = language.sequences(400, 10, rng=rng())
    net = Transformer(5, 10, 16, 1, "t5", positions=True, rng=rng(), heads=2, replicas=2, dtype="float32")
    history = train(net, x, y, optimizer="adam", lr=1e-2, steps=250, batch_size=32, rng=rng(), every=250)
    assert (history.loss[:, -1] < language.entropies[1]).all()  # so two tokens are seen
    held_out, after = language.sequences(1500, 10, rng=rng(8))
    assert (train(net, held_out, after, lr=0.0, steps=0, rng=rng()).loss > language.best_loss(10) - 0.03).all()


# --- recipes on modules -----------------------------------------------------------------------------------------------


class NanoGPT(nn.Module):
    """The names of nanoGPT's parameters, tied as there."""

    def __init__(self, tied=True, extra=False):
        super().__init__()

        def block():
            attn = nn.ModuleDict({"c_attn": nn.Linear(32, 96), "c_proj": nn.Linear(32, 32)})
            mlp = nn.ModuleDict({"c_fc": nn.Linear(32, 128), "c_proj": nn.Linear(128, 32)})
            return nn.ModuleDict({"ln_1": nn.LayerNorm(32), "attn": attn, "ln_2": nn.LayerNorm(32), "mlp": mlp})

        blocks = nn.ModuleList(block() for _ in range(4))
        parts = {"wte": nn.Embedding(50, 32), "wpe": nn.Embedding(9, 32), "h": blocks, "ln_f": nn.LayerNorm(32)}
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(32, 50, bias=False)
        if tied:
            self.transformer["wte"].weight = self.lm_head.weight
        if extra:
            self.adapter = nn.Linear(32, 32)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(7.0)


def std_is(parameter, std):
    if not std:
        return bool((parameter == 0).all())
    return abs(float(parameter.detach().std()) / std - 1) < SIGMAS / math.sqrt(2 * parameter.numel())


def test_nanogpt_is_filled_and_accounted_for():
    model = NanoGPT()
    assert ini.recipe("nanogpt", model, rng=rng(), strict=True) is model
    for name, parameter in model.named_parameters():
        std = 0.02 / math.sqrt(8) if name.endswith("c_proj.weight") else 0.02
        if "ln_" in name or name.endswith("bias"):
            assert (parameter == float(name.endswith("weight"))).all(), name
        else:
            assert std_is(parameter, std), name
    assert not std_is(model.transformer["h"][0]["mlp"]["c_proj"].weight, 0.02)  # without the scaling with depth
    plan = layers.recipe_plan("nanogpt", model)
    assert plan.left == ["lm_head.weight"] or plan.left == ["transformer.wte.weight"]


def test_query_key_and_value_of_one_weight_have_laws_of_their_own():
    model = NanoGPT()
    with pytest.warns(UserWarning, match="t5 counts on attention_scale=1; t5 counts on head_multiplier"):
        ini.recipe("t5", model, rng=rng(), heads=4)
    query, key, value = model.transformer["h"][2]["attn"]["c_attn"].weight.split(32)
    assert std_is(query, 1 / math.sqrt(32 * 8))
    assert std_is(key, 1 / math.sqrt(32))
    assert std_is(value, 1 / math.sqrt(32))
    assert std_is(model.transformer["wpe"].weight, 0)
    with pytest.raises(ValueError, match="heads must be given"):
        ini.recipe("t5", NanoGPT(), rng=rng())


def test_laws_of_a_block_know_its_number():
    model = NanoGPT()
    with pytest.warns(UserWarning, match="the head is the embedding, and olmo_mitchell has one of its own"):
        ini.recipe("olmo_mitchell", model, rng=rng())
    for at, block in enumerate(model.transformer["h"]):
        assert std_is(block["mlp"]["c_proj"].weight, 0.98658 / math.sqrt(2 * 128 * (at + 1)))


def test_what_is_not_known_is_left_and_said():
    model, generator = NanoGPT(extra=True), rng()
    before = generator.bit_generator.state
    with pytest.raises(ValueError, match=r"2 parameters are left as before.*adapter.weight, adapter.bias"):
        ini.recipe("nanogpt", model, rng=generator, strict=True)
    assert generator.bit_generator.state == before
    assert all((parameter == 7).all() for parameter in model.parameters())
    with pytest.warns(UserWarning, match="adapter.weight"):
        ini.recipe("nanogpt", model, rng=generator)
    assert (model.adapter.weight == 7).all()
    assert not (model.lm_head.weight == 7).any()


def test_a_head_of_its_own_is_drawn_and_said():
    model = NanoGPT(tied=False)
    with pytest.warns(UserWarning, match="the head is one of its own, and nanogpt has the embedding there"):
        ini.recipe("nanogpt", model, rng=rng())
    assert std_is(model.lm_head.weight, 0.02)
    assert not torch.equal(model.lm_head.weight, model.transformer["wte"].weight)


@pytest.mark.parametrize("model", [nn.Linear(3, 4), nn.Sequential(nn.Embedding(3, 4)), 3])
def test_other_models_are_refused(model):
    with pytest.raises((TypeError, ValueError), match="model must"):
        ini.recipe("nanogpt", model, rng=rng())


def test_an_ensemble_and_its_twin_get_the_same_laws():
    net = Transformer(50, 9, 32, 4, "olmo_mitchell", rng=rng(), heads=4, replicas=4, positions=True)
    ini.recipe("hf_llama", net, rng=rng(), strict=True)
    twin = ini.recipe("hf_llama", net.twin(0), rng=rng(), strict=True)
    for (role, block), weight in zip(net.roles, net.weights, strict=True):
        std = recipes.get("hf_llama").std(role, net.sizes, block=block)
        assert std_is(weight, std), role
        assert std_is(twin.layer(role, block).weight, std), role
    assert net.recipe.name == "hf_llama"
    fresh = Transformer(50, 9, 32, 4, "hf_llama", rng=rng(), heads=4, replicas=4, positions=True)
    assert torch.equal(fresh.parameters, net.parameters)


@pytest.fixture(scope="module")
def hugging_face():
    import transformers

    sizes = {"vocab_size": 90, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    gpt2 = transformers.GPT2Config(n_embd=64, n_layer=3, n_head=4, n_positions=50, **sizes)
    llama = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=176, num_hidden_layers=3, num_attention_heads=4, **sizes
    )
    t5 = transformers.T5Config(d_model=64, d_kv=16, d_ff=256, num_heads=4, num_layers=2, **sizes)
    torch.manual_seed(1)
    return {
        "hf_gpt2": transformers.GPT2LMHeadModel(gpt2),
        "hf_llama": transformers.LlamaForCausalLM(llama),
        "t5": transformers.T5ForConditionalGeneration(t5),
    }


@pytest.mark.parametrize("name", ["hf_gpt2", "hf_llama"])
def test_hugging_faces_models_start_as_the_list_says(name, hugging_face):
    model = hugging_face[name]
    theirs = {own: parameter.detach().clone() for own, parameter in model.named_parameters()}
    ini.recipe(name, model, rng=rng(), strict=True)
    compared = 0
    for own, parameter in model.named_parameters():
        if parameter.dim() < 2:
            assert torch.equal(parameter, theirs[own]), own
            continue
        values = theirs[own][1:] if "embed_tokens" in own else theirs[own]  # the row of the padding token is 0
        spread = SIGMAS * math.sqrt(1 / values.numel())  # of a difference of two
        assert abs(math.log(float(values.std() / parameter.detach().std()))) < spread + 0.01, own
        compared += 1
    assert compared >= 14


def test_hugging_faces_t5_starts_as_the_list_says(hugging_face):
    model, sizes = hugging_face["t5"], Sizes(64, 256, 2, 16)
    block = model.encoder.block[1].layer
    roles = {"query": block[0].SelfAttention.q, "key": block[0].SelfAttention.k, "value": block[0].SelfAttention.v}
    roles |= {"attention_out": block[0].SelfAttention.o, "mlp_in": block[1].DenseReluDense.wi}
    roles |= {"mlp_out": block[1].DenseReluDense.wo, "token": model.shared}
    for role, layer in roles.items():
        assert std_is(layer.weight, recipes.get("t5").std(role, sizes)), role
    assert model.lm_head.weight is model.shared.weight


# --- theory against measurement ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    """Of some recipes, what 24 networks of six blocks make of two sequences, and what theory says."""
    form = {"gated": False, "activation": "gelu", "positions": True}
    ids = rng(5).integers(0, 48, (2, 16))
    other = torch.from_numpy((ids + rng(6).integers(1, 48, ids.shape)) % 48)  # never the token that is read
    found = {}
    for name in ("gpt2", "nanogpt", "neox", "torchtitan_llama3", "nanochat", "t5"):
        net = Transformer(48, 16, 64, 6, name, rng=rng(7), heads=4, replicas=24, like=768, **form)
        seen = net.look(ids.astype(float))
        loss = cross_entropy(seen.logits, other.expand(24, -1, -1))[0].numpy()
        squares = np.stack([own.square().mean((1, 2)).numpy() for own in seen.stream], axis=1)
        found[name] = squares, loss, transformer_stream(name, 6, 64, ids, heads=4, like=768, **form), seen
    return found


def agrees(values, theory, slack):
    """Whether a mean over replicas is what theory says: within 4.5 standard errors and a part of theory."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    return abs(values.mean() - theory) <= SIGMAS * error + slack * theory


@pytest.mark.parametrize("name", ["gpt2", "nanogpt", "neox", "torchtitan_llama3", "nanochat", "t5"])
def test_the_stream_is_what_theory_says(name, measured):
    squares, _, theory, _ = measured[name]
    for at in (0, 4, 8, 12):
        assert agrees(squares[:, at], theory.moments[at], 0.04), at
    assert agrees(squares[:, 0] / squares[:, -1], theory.share[-1], 0.06)


def test_a_theory_without_the_scaling_with_depth_is_caught(measured):
    squares, _, theory, _ = measured["nanogpt"]
    wrong = transformer_stream("gpt2", 6, 64, rng(5).integers(0, 48, (2, 16)), like=768)
    assert agrees(squares[:, -1], theory.moments[-1], 0.04)
    assert not agrees(squares[:, -1], wrong.moments[-1], 0.04)


def test_equal_tokens_enter():
    form = {"heads": 4, "gated": False, "activation": "gelu", "like": 768}
    ids = rng(5).integers(0, 3, (2, 16))
    net = Transformer(3, 16, 64, 2, "torchtitan_llama3", rng=rng(7), replicas=24, **form)
    added = net.look(ids.astype(float)).branches[0].square().mean((1, 2)).numpy()
    assert agrees(added, transformer_stream("torchtitan_llama3", 2, 64, ids, **form).branches[0], 0.04)
    assert not agrees(added, transformer_stream("torchtitan_llama3", 2, 64, 16, **form).branches[0], 0.04)


@pytest.mark.parametrize("name", ["gpt2", "nanogpt", "neox", "torchtitan_llama3", "nanochat", "t5"])
def test_the_initial_loss_is_what_theory_says(name, measured):
    _, loss, theory, _ = measured[name]
    finite = (math.exp(theory.logit_std**2) - 1) / (2 * 48)  # ln of a mean of 48 for the mean of ln, second order
    assert agrees(loss, theory.loss(48) - finite, 0.003)


def test_a_wrong_initial_loss_is_caught(measured):
    _, loss, theory, _ = measured["t5"]
    assert not agrees(loss, math.log(48), 0.003)
    assert not agrees(loss, initial_loss(48, logit_std=8 * theory.logit_std), 0.003)  # without the head's 1/√d


def test_post_norm_keeps_the_stream_and_loses_the_embedding():
    form = {"place": "post", "gated": False, "positions": True, "like": 768}
    ids = rng(5).integers(0, 48, (2, 16))
    theory = transformer_stream("neox", 6, 64, ids, **form)
    net = Transformer(48, 16, 64, 6, "neox", rng=rng(7), replicas=16, **form)
    seen = net.look(ids.astype(float))
    assert np.allclose(theory.moments[1:], 1, atol=1e-3)  # 1 but for the eps of 1e-5 beside a stream of 0.01
    for at in range(12):
        assert agrees(seen.branches[at].square().mean((1, 2)).numpy(), theory.branches[at], 0.12), at
    assert (np.diff(theory.share[1:]) < 0).all()
    with pytest.raises(TypeError, match="recipe must be a Recipe, such as"):
        ini.theory.transformer_stream("neox", 6, 64, 16)
    with pytest.raises(ValueError, match="place must be 'pre' or 'post'"):
        transformer_stream("neox", 6, 64, 16, place="none")


@pytest.mark.parametrize(("s", "t"), [(0.3, 32), (1.0, 8), (1.64, 256), (3.0, 256), (6.0, 16)])
def test_the_entropy_of_a_softmax_is_what_theory_says(s, t):
    z = s * rng(9).standard_normal((3000, t))
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    entropies = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
    assert agrees(entropies, attention_entropy(s, t), 0.0)
    if s >= 3:  # beyond √(2 ln t), near which the series breaks
        assert not agrees(entropies, math.log(t) - s * s / 2, 0.0)
    assert attention_entropy(0.0, t) == math.log(t)


def test_the_attention_of_a_network_has_the_entropy_of_its_logits(measured):
    for name in ("nanogpt", "nanochat", "t5"):
        _, _, theory, seen = measured[name]
        expected = np.mean([attention_entropy(theory.attention_std, t) / math.log(t) for t in range(2, 17)])
        assert agrees(seen.entropies[:, 0], expected, 0.02), name  # two sequences, with equal tokens in them
    _, _, theory, seen = measured["t5"]
    for wrong in (theory.attention_std / 4, theory.attention_std * 4):  # 1/h for 1/√h, and no division at all
        expected = np.mean([attention_entropy(wrong, t) / math.log(t) for t in range(2, 17)])
        assert not agrees(seen.entropies[:, 0], expected, 0.02)


# --- a language of known entropy --------------------------------------------------------------------------------------


def test_two_states_have_the_entropy_of_the_textbook():
    chain = ini.data.Markov(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.75, 0.25]))

    def h(p):
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    assert chain.entropies == pytest.approx([h(0.25), 0.75 * h(0.1) + 0.25 * h(0.3)])
    assert chain.entropy == chain.entropies[-1] == pytest.approx(chain.best_loss(7))


def test_the_stationary_law_is_kept_by_a_step(language):
    after = (language.stationary[..., None] * language.transitions).sum(0)
    assert np.allclose(after, language.stationary, atol=1e-13)
    assert (np.diff(language.entropies) < 0).all()
    two = language.best_loss(2)
    assert two == pytest.approx((language.entropies[1] + language.entropies[2]) / 2)


def test_sequences_have_the_entropy_that_is_said(language):
    x, y = language.sequences(4000, 6, rng=rng())
    assert (x[:, 1:] == y[:, :-1]).all()
    seen = x.astype(int)
    p = language.transitions[seen[:, 4], seen[:, 5], y[:, 5]]
    assert agrees(-np.log(p), language.entropy, 0.0)
    pairs = np.bincount(5 * seen[:, 0] + seen[:, 1], minlength=25) / 4000  # the first context is a stationary one
    error = np.sqrt(language.stationary.ravel() * (1 - language.stationary.ravel()) / 4000)
    assert (abs(pairs - language.stationary.ravel()) <= 5 * error + 1e-3).all()
    wrong = language.transitions[seen[:, 5], seen[:, 4], y[:, 5]]  # the axes the other way round
    assert not agrees(-np.log(wrong), language.entropy, 0.0)


@pytest.mark.parametrize(
    ("arguments", "match"), [((1, 2), "vocabulary"), ((5, 0), "order"), ((200, 3), "at most 4194304")]
)
def test_wrong_languages_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        ini.data.markov(*arguments, rng=rng())


# --- translation ------------------------------------------------------------------------------------------------------


def test_a_role_of_a_recipe_is_said_in_a_librarys_terms():
    said = ini.translate("nanogpt", "initnotes", "torch", role="mlp_out", width=768, blocks=12)
    assert said.code.startswith("torch.nn.init.normal_(w, mean=0")
    weight = torch.empty(400, 300)
    said.call.initializer()(weight, generator=torch.Generator().manual_seed(1))
    assert std_is(weight, recipes.get("nanogpt").std("mlp_out", SMALL))
    assert not std_is(weight, 0.02)
    cut = ini.translate("olmo_mitchell", "initnotes", "torch", role="query", width=64)
    assert "a=-0.375, b=0.375" in cut.code
    assert ini.translate("nanochat", "initnotes", "torch", role="mlp_out").code == "torch.nn.init.zeros_(w)"
    far = ini.translate("torchtitan_llama3", "initnotes", "jax", role="query")
    assert far.name == "normal"
    assert any("so far out" in note for note in far.notes)


def test_a_recipe_without_a_role_has_no_call():
    said = ini.translate("gpt2", "initnotes", "keras")
    assert not said
    assert "give role=" in said.notes[0]
    with pytest.raises(ValueError, match="no initializer 'gpt2'"):
        ini.translate("gpt2", "torch", "keras")
