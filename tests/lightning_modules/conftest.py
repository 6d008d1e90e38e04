from dataclasses import replace

import pytest
import torch

from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.regression import Regression, Rendering
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers
from tests import miniatures

# The suite's weights of the paper's four losses.
PAPERS_FOUR = replace(SUITE_WEIGHTS, contrast=0.0, tone=0.0, known_tone=0.0)


@pytest.fixture
def teachers() -> Teachers:
    """The miniature model, one network that encodes and trains, another that judges."""
    network = miniatures.SmallNetwork(1)
    judge = miniatures.SmallNetwork(2)
    judge.name = "judge"
    return Teachers(miniatures.small_model(), network, network, judge)


def small_regressor() -> Regressor:
    torch.manual_seed(0)
    return Regressor(20, 4, 3, hidden_width=16)


@pytest.fixture
def build(teachers: Teachers) -> object:
    """Builds stage 2 with other weights of some losses; its regressor is always the same."""

    def build(
        *, views: int = 2, rendered: int = 2, target: object = None, landmarks: object = None, **losses: float
    ) -> Regression:
        return Regression(
            small_regressor(),
            teachers,
            replace(PAPERS_FOUR, **losses),
            Rendering(rendered, views, seed=5),
            Optimisation(1e-3, 0.0, 0, 10),
            tone=target,
            landmarks=landmarks,
            gradient_norm_interval=0,
        )

    return build
