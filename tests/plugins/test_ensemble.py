"""The ensemble surrogate: what its features are, who may be a member, and that fitted members keep their state."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ucbench import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import make_run, sample_images
from ucbench.training.surrogate import FittedSurrogate

PRETRAINED = "ensemble:'efficientnet-lite0+efficientnet-lite0:size=64'"
FITTED = "ensemble:'efficientnet-lite0+simclr@quick'"


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def test_ensemble_cosines_are_the_mean_of_the_members():
    x = images()
    whole = installed().resolve("surrogate", PRETRAINED).build()
    members = [
        installed().resolve("surrogate", name).build() for name in ("efficientnet-lite0", "efficientnet-lite0:size=64")
    ]
    cosines = [F.normalize(member.features(x)) @ F.normalize(member.features(x)).T for member in members]
    found = whole.features(x)
    torch.testing.assert_close(found @ found.T, sum(cosines) / 2, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(cosines[0], cosines[1], atol=1e-3)
    torch.testing.assert_close(whole.module()(x), found)


def test_ensemble_gradients_pass_every_member():
    x = images().requires_grad_()
    whole = installed().resolve("surrogate", PRETRAINED).build()
    found = whole.features(x)
    half = found.shape[1] // 2
    for part in (found[:, :half], found[:, half:]):
        (gradient,) = torch.autograd.grad(part[:, :7].sum(), x, retain_graph=True)
        assert gradient.abs().max() > 0


def test_ensemble_is_fitted_only_with_fitted_members():
    assert not isinstance(installed().resolve("surrogate", PRETRAINED).build(), FittedSurrogate)
    assert isinstance(installed().resolve("surrogate", FITTED).build(), FittedSurrogate)


def test_restored_ensemble_equals_the_fitted_one():
    train, run = sample_images(count=16, size=(12, 12)), make_run()
    fitted, restored = (installed().resolve("surrogate", FITTED).build() for _ in range(2))
    state = fitted.fit(train, run)
    assert all(name.startswith("1.") for name in state)
    restored.restore(state, train, run)
    assert torch.equal(fitted.features(images()), restored.features(images()))


def test_ensemble_has_the_notes_of_its_members_on_their_weights():
    random = "ensemble:'efficientnet-lite0+timm:test_efficientnet:weights=random'"
    assert "random weights" in installed().resolve("surrogate", random).build().note
    assert installed().resolve("surrogate", PRETRAINED).build().note == ""


def test_ensemble_logits_raise():
    with pytest.raises(UsageError, match="no class scores"):
        installed().resolve("surrogate", PRETRAINED).build().logits(images())


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ("efficientnet-lite0", "at least two members"),
        ("efficientnet-lite0+simclr@quick+efficientnet-lite0@standard", "is in the ensemble twice"),
        ("efficientnet-lite0+trained:width=16", "has seen labels"),
        ("efficientnet-lite0+resnet18", "bare architecture"),
        ("efficientnet-lite0+efficientnet-lite1", "efficientnet-lite1"),
    ],
)
def test_members_with_labels_without_weights_or_twice_are_refused(members, text):
    with pytest.raises(UsageError, match=text):
        installed().resolve("surrogate", f"ensemble:'{members}'")


def test_ensemble_identity_is_that_of_its_members():
    keys = [installed().resolve("surrogate", text).key_text for text in (PRETRAINED, FITTED)]
    spelled = installed().resolve("surrogate", "ensemble:'efficientnet-lite0@standard+simclr@quick'").key_text
    assert keys[0] != keys[1]
    assert keys[1] == spelled
