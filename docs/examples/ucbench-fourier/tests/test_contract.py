"""The component keeps the contract of its kind. It must be installed: `pip install -e .`"""

import pytest
from ucbench import installed
from ucbench.testing import check_poisoner


@pytest.mark.parametrize("reference", ["fourier", "fourier@fixed", "fourier:waves=3,phases=3,channels=signs"])
def test_component_keeps_its_contract(reference):
    check_poisoner(installed().resolve("poisoner", reference))
