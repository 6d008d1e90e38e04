import signal

import pytest

from lightning_modules.faces.morphable_model import MorphableModel
from tests import miniatures


def pytest_configure() -> None:
    """Heed interrupts, as the runs that tests interrupt have to; a shell's background job ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def small_model() -> MorphableModel:
    return miniatures.small_model()
