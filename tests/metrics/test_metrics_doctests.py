import doctest
from importlib import import_module

import pytest

from foveate.core.plugins import names


@pytest.mark.parametrize("name", [*names("metrics"), *(f"entries.{name}" for name in names("metrics/entries"))])
def test_the_examples_in_the_docstrings_hold(name):
    assert doctest.testmod(import_module(f"foveate.metrics.{name}")).failed == 0
