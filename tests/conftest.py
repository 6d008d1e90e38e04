import pytest

from lightning_modules.faces.morphable_model import MorphableModel
from tests import miniatures


@pytest.fixture(scope="session")
def small_model() -> MorphableModel:
    return miniatures.small_model()
