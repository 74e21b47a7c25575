"""UC's students: what they learn from, what their features are, and when there are any."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ucbench import UsageError
from ucbench.plugins.registry import installed
from ucbench.testing import TinySurrogate, make_run, sample_images
from ucbench_uc.saved import Saved
from ucbench_uc.students import train_students

SIZE = (16, 16)
ASSIGNMENT = np.arange(24) % 3


@pytest.fixture(scope="module")
def train():
    return sample_images(count=24, size=SIZE)


def students(train, count: int = 2, **run):
    victim = installed().resolve("victim", "airbench@quick:width=0.125,epochs=1")
    made = make_run(**run)
    return train_students(victim, count, train, ASSIGNMENT, made, Saved(made, ASSIGNMENT))


def views() -> torch.Tensor:
    return torch.rand(5, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_students_read_the_clusters_and_no_labels(train):
    other = train.with_labels(np.roll(train.known_labels, 1), train.classes)
    assert torch.equal(students(train)(views()), students(other)(views()))


def test_students_differ_and_have_equal_weight(train):
    features = students(train)(views())
    first, second = features.chunk(2, dim=1)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(5), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(second.norm(dim=1), torch.ones(5), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(first, second, atol=1e-2)


def test_students_pass_gradients_to_the_image_and_keep_none(train):
    x = views().requires_grad_()
    students(train)(x)[:, 0].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_more_students_leave_the_first_as_it_is(train):
    one, two = students(train, 1)(views()), students(train, 2)(views())
    assert torch.equal(two[:, : one.shape[1]], one)


def test_uc_key_follows_the_students_recipe_only_where_there_are_students_or_their_crop():
    def key(options: str) -> str:
        return str(installed().resolve("poisoner", f"uc:{options}").identity())

    assert key("student='airbench@quick'") != key("student='airbench@small'")
    assert key("students=0,student='airbench:crop=0'") != key("students=0,student='airbench:crop=0.125'")
    alone = "students=0,crop=resize"
    assert key(f"{alone},student='airbench@quick'") == key(f"{alone},student='airbench@small'")


def test_uc_refuses_a_student_that_trains_itself():
    with pytest.raises(UsageError, match="trains itself"):
        installed().resolve("poisoner", "uc:student=simclr")


def test_uc_fits_perturbations_to_the_students(train):
    def craft(count: int):
        reference = f"uc:students={count},student='airbench@quick:epochs=1',clusters=3,steps=3"
        return installed().resolve("poisoner", reference).build().craft(train, make_run(surrogate=TinySurrogate()))

    attacked, plain = craft(1), craft(0)
    assert np.array_equal(attacked.index, plain.index), "the clusters are the surrogate's"
    assert not np.array_equal(attacked.delta, plain.delta)
