"""The component keeps the contract of its kind. It must be installed: `pip install -e .`"""

import pytest
from ucbench import installed
from ucbench.testing import check_defense


@pytest.mark.parametrize("reference", ["wavelet-denoise", "wavelet-denoise@visu", "wavelet-denoise:8:colours=rgb"])
def test_component_keeps_its_contract(reference):
    check_defense(installed().resolve("defense", reference))
