"""Small transformers."""

import pytest

from tests.helpers_models import small_transformer


@pytest.fixture(scope="module")
def text():
    return small_transformer()


@pytest.fixture(scope="module")
def poems():
    return small_transformer("poems")


@pytest.fixture(scope="module")
def pixels():
    return small_transformer("pixels")
