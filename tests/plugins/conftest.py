"""What several test files of plugins ask for."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def exact_arithmetic():
    """Deterministic kernels, float32 and one thread, so that equal computations give equal bytes."""
    from ucbench.testing.samples import NUMERICS
    from ucbench.training.determinism import deterministic

    with deterministic(NUMERICS):
        yield


@pytest.fixture
def no_network(monkeypatch):
    """Fail where the network is asked for."""

    def refuse(*args, **options):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
