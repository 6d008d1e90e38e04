import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules import losses, regression
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.coloured import Coloured
from lightning_modules.recognition.similarity import Centre
from lightning_modules.regression import Regression
from lightning_modules.rendered_faces import render_randomly
from lightning_modules.skin_tone import ToneTarget
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallFaces, SmallNetwork, small_batch

from .conftest import PAPERS_FOUR
from .steps import step_of, terms_of

Build = Callable[..., Regression]
SWITCHES = ("parameter", "identity", "batch_distribution", "loopback")


def gradients(module: Regression, loss: Tensor) -> Tensor:
    parameters = list(module.regressor.parameters())
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, parts, strict=True)]
    )


def test_every_loss_is_there_and_teaches(build: Build) -> None:
    module = build()
    terms = terms_of(module, small_batch())
    assert set(terms) == set(SWITCHES)
    for name, term in terms.items():
        assert torch.isfinite(term), name
        assert gradients(module, term).norm() > 0, name


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_removes_its_loss_and_changes_no_other(build: Build, switch: str) -> None:
    everything = terms_of(build(), small_batch())
    without = terms_of(build(**{switch: 0.0}), small_batch())
    assert set(everything) - set(without) == {switch}
    for name, term in without.items():
        torch.testing.assert_close(term, everything[name], rtol=0, atol=0)


@pytest.mark.parametrize("switch", [None, *SWITCHES])
def test_the_total_is_the_sum_of_what_is_on(
    build: Build, switch: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = build(**({} if switch is None else {switch: 0.0}))
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.__setitem__(name, value))
    total = module.training_step(small_batch(), 0)["loss"]
    parts = [value for name, value in logged.items() if name != "train/loss/total"]
    assert len(parts) == (4 if switch is None else 3)
    torch.testing.assert_close(total, torch.stack(parts).sum())
    torch.testing.assert_close(logged["train/loss/total"], total)


def test_what_is_off_is_not_computed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("computed although it is off")

    monkeypatch.setattr(regression, "render_drawn", forbidden)
    assert set(terms_of(build(identity=0.0, loopback=0.0), small_batch())) == {
        "parameter",
        "batch_distribution",
    }
    monkeypatch.setattr(regression, "batch_distribution_loss", forbidden)
    monkeypatch.setattr(regression, "parameter_loss", forbidden)
    batch = small_batch()._replace(synthetic=None)
    with pytest.raises(AssertionError, match="although it is off"):
        terms_of(build(parameter=0.0, batch_distribution=0.0), batch)


def test_one_recognition_pass_serves_identity_and_loopback(build: Build, teachers: Teachers) -> None:
    passes: list[int] = []
    teachers.encoder.register_forward_hook(lambda *_: passes.append(1))
    terms_of(build(), small_batch())
    assert len(passes) == 1


@pytest.mark.parametrize("views", [1, 3])
def test_each_rendered_photograph_is_seen_in_so_many_views(build: Build, views: int) -> None:
    terms, _, pictures = step_of(build(views=views), small_batch())
    assert set(terms) == set(SWITCHES)
    assert pictures.views.shape[:2] == (2, views)
    assert pictures.decoded_again.shape.shape == (2 * views, 4)


def test_rendered_photographs_are_spread_over_the_batch(build: Build) -> None:
    _, _, pictures = step_of(build(rendered=4), small_batch(8))
    assert pictures.index.tolist() == [0, 2, 4, 6]


def test_the_penalty_of_means_reaches_the_batch_distribution_alone(build: Build) -> None:
    assert changed_by(build, mean_penalty="squared") == {"batch_distribution"}


def changed_by(build: Build, **weights: object) -> set[str]:
    """The terms that differ from the suite's where its weights do."""
    usual = terms_of(build(), small_batch())
    terms = terms_of(build(**weights), small_batch())
    return {name for name, term in usual.items() if not torch.equal(term, terms[name])}


def loopback(module: Regression, *, cut: str) -> Tensor:
    """The loopback loss with one of its two gradient paths cut."""
    batch = small_batch()
    decoded = module.regressor(batch.photographs.features["small"])
    decoded = Prediction(*(part[:2] for part in decoded))
    kept = Prediction(*(part.detach() for part in decoded))
    images = render_randomly(
        module.teachers.model,
        kept if cut == "rendering" else decoded,
        module.teachers.crop, views=2, seed=5, step=3, samples=range(2),
    )  # fmt: skip
    again = module.regressor(module.teachers.see(images).features)
    if cut == "regressor":
        parameters = dict(module.regressor.named_parameters())
        frozen = {name: value.detach() for name, value in parameters.items()}
        features = module.teachers.see(images).features
        again = Prediction(*torch.func.functional_call(module.regressor, frozen, (features,)))
    target = kept if cut in ("rendering", "regressor") else decoded
    return losses.loopback_loss(target, again, SUITE_WEIGHTS)


def test_loopback_reaches_the_regressor_through_the_rendering(build: Build) -> None:
    # Decoding is frozen and the target detached: what is left flows through renderer and encoder.
    module = build()
    assert gradients(module, loopback(module, cut="regressor")).norm() > 0


def test_loopback_reaches_the_regressor_through_the_decoding(build: Build) -> None:
    # The rendering and the target are detached: what is left flows through the second decoding alone.
    module = build()
    assert gradients(module, loopback(module, cut="rendering")).norm() > 0


def test_nothing_reaches_the_frozen_teachers(build: Build, teachers: Teachers) -> None:
    module = build()
    torch.stack(list(terms_of(module, small_batch()).values())).sum().backward()
    for part in (teachers.model, *teachers.by_role.values()):
        assert not list(part.parameters())
        assert all(buffer.grad is None and not buffer.requires_grad for buffer in part.buffers())
    assert all(parameter.grad is not None for parameter in module.regressor.parameters())


def test_no_teacher_is_in_a_checkpoint(build: Build) -> None:
    assert all(name.startswith("regressor.") for name in build().state_dict())


def test_two_networks_see_the_same_rendering(build: Build, teachers: Teachers) -> None:
    module = build()
    module.teachers = teachers._replace(identity_network=teachers.judge)
    terms, _, pictures = step_of(module, small_batch())
    assert pictures.views.shape[-1] == 224
    assert set(terms) == set(SWITCHES)


def test_tone_pulls_the_first_albedo_component(build: Build) -> None:
    colour = torch.tensor([50 + 10 * math.tan(math.radians(20)), 5.0, 10.0])  # an angle of 20 degrees
    target = ToneTarget(torch.zeros(8, 3), colour, torch.linspace(-60, 60, 61))
    module = Regression(
        build().regressor, build().teachers, replace(PAPERS_FOUR, tone=0.5), build().rendering,
        build().optimisation, tone=target, gradient_norm_interval=0,
    )  # fmt: skip
    batch = small_batch()
    decoded = module.regressor(batch.photographs.features["small"])
    expected = 0.5 * (decoded.albedo[:, 0] - 1.0).square().mean()  # 20 degrees lie at 1 of -3 to 3
    torch.testing.assert_close(terms_of(module, batch)["tone"], expected, atol=1e-5, rtol=0)


def test_known_tone_pulls_the_first_albedo_component_of_synthetic_faces(build: Build) -> None:
    module, batch = build(known_tone=0.5), small_batch()
    decoded = module.regressor(batch.synthetic.features)
    expected = 0.5 * (decoded.albedo[:, 0] - batch.synthetic.albedo[:, 0]).square().mean()
    terms = terms_of(module, batch)
    torch.testing.assert_close(terms.pop("known_tone"), expected)
    assert set(terms) == set(SWITCHES)


def test_known_tone_needs_synthetic_faces_but_not_the_parameter_loss(build: Build) -> None:
    alone = dict.fromkeys(SWITCHES, 0.0)
    assert set(terms_of(build(**alone, known_tone=0.5), small_batch())) == {"known_tone"}


def test_the_tone_s_target_sees_the_cheeks_of_a_coloured_encoder(build: Build) -> None:
    plain = build().teachers
    coloured = Coloured(plain.encoder)
    teachers = Teachers(plain.model, coloured, coloured, plain.judge)
    colour = torch.tensor([50 + 10 * math.tan(math.radians(20)), 5.0, 10.0])
    target = ToneTarget(torch.zeros(8, 3), colour, torch.linspace(-60, 60, 61), torch.zeros(3))
    module = Regression(
        build().regressor, teachers, replace(PAPERS_FOUR, tone=0.5), build().rendering,
        build().optimisation, tone=target, gradient_norm_interval=0,
    )  # fmt: skip
    cheeks = torch.tensor([[0.8, 0.6, 0.5], [0.3, 0.2, 0.2]])
    faces = SmallFaces(
        torch.arange(2), {"small-colour": torch.cat([torch.rand(2, 20), cheeks], 1)},
        {"small-colour": torch.rand(2, 8)},
    )  # fmt: skip
    found = module.tone_target(faces)
    torch.testing.assert_close(found, target(torch.zeros(2, 8), cheeks))
    assert found[0] > found[1]


def test_landmarks_are_a_loss_of_their_own_that_renders_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = small_batch()
    plain, target = terms_of(build(), batch), LandmarkTarget.of_model(build().teachers.model)
    module = build(landmark=3.0, landmarks=target)
    marked = terms_of(module, batch)
    assert set(marked) == {*SWITCHES, "landmark"}
    for name in SWITCHES:
        assert torch.equal(marked[name], plain[name])
    shape = module.regressor(batch.photographs.features["small"]).shape
    by_hand = losses.landmark_loss(*target.squared_distances(shape, batch.photographs.landmarks))
    torch.testing.assert_close(marked["landmark"], 3 * by_hand)
    assert gradients(module, marked["landmark"]).norm() > 0
    monkeypatch.setattr(LandmarkTarget, "squared_distances", None)
    assert set(terms_of(build(landmarks=target), batch)) == {*SWITCHES}


def test_the_landmark_loss_needs_landmarks_to_compare_with(build: Build) -> None:
    with pytest.raises(ValueError, match="the landmark loss needs a LandmarkTarget, fitted to photographs"):
        build(landmark=1.0)


def test_contrast_is_a_loss_of_its_own(build: Build) -> None:
    batch = small_batch()
    plain, contrasted = terms_of(build(), batch), terms_of(build(contrast=2.0), batch)
    assert set(contrasted) == {*SWITCHES, "contrast"}
    assert contrasted["contrast"] > 0
    for name in SWITCHES:
        torch.testing.assert_close(contrasted[name], plain[name], rtol=0, atol=0)
    alone = terms_of(build(contrast=2.0, identity=0.0), batch)
    assert "identity" not in alone
    torch.testing.assert_close(alone["contrast"], contrasted["contrast"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("off", "passes"),
    [
        ({}, (1, 1)),
        ({"loopback": 0.0}, (0, 1)),
        ({"identity": 0.0}, (1, 0)),
        ({"identity": 0.0, "contrast": 2.0}, (1, 1)),
        ({"identity": 0.0, "loopback": 0.0}, (0, 0)),
    ],
)
def test_a_network_that_no_loss_needs_looks_at_no_rendering(
    build: Build, teachers: Teachers, off: dict[str, float], passes: tuple[int, int]
) -> None:
    encoder, identity = SmallNetwork(1), SmallNetwork(7)
    seen: list[SmallNetwork] = []
    for network in (encoder, identity):
        network.register_forward_hook(lambda network, *_: seen.append(network))
    module = build(**off)
    module.teachers = teachers._replace(encoder=encoder, identity_network=identity)
    terms_of(module, small_batch())
    assert (seen.count(encoder), seen.count(identity)) == passes


def named(seed: int, name: str) -> SmallNetwork:
    network = SmallNetwork(seed)
    network.name = name
    return network


def test_with_a_second_identity_network_identity_and_contrast_are_means_over_both(
    build: Build, teachers: Teachers
) -> None:
    batch, first, second = small_batch(), named(7, "first"), named(8, "second")
    of_second = torch.nn.functional.normalize(torch.randn(8, 8), dim=1)
    own = batch.photographs.embeddings
    photographs = batch.photographs._replace(embeddings={**own, "first": own["small"], "second": of_second})
    batch = batch._replace(photographs=photographs)

    def found(identity: SmallNetwork, other: SmallNetwork | None) -> tuple[dict[str, Tensor], Tensor]:
        module = build(contrast=2.0)
        module.centres = {"second": Centre(torch.full((8,), 0.1), "second", second.sha256, "made up", 500)}
        module.teachers = teachers._replace(identity_network=identity, second_identity_network=other)
        terms = terms_of(module, batch)
        return terms, gradients(module, terms["identity"] + terms["contrast"])

    (by_first, one), (by_second, other), (by_both, both) = (
        found(first, None), found(second, None), found(first, second)
    )  # fmt: skip
    for name in ("identity", "contrast"):
        assert not torch.allclose(by_first[name], by_second[name])
        torch.testing.assert_close(by_both[name], (by_first[name] + by_second[name]) / 2)
    for name in {*SWITCHES} - {"identity"}:
        assert torch.equal(by_both[name], by_first[name])
    torch.testing.assert_close(both, (one + other) / 2)


def test_no_identity_network_looks_where_no_loss_compares_embeddings(
    build: Build, teachers: Teachers, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, second = build(identity=0.0), named(8, "judge")
    module.teachers = teachers._replace(second_identity_network=second)
    monkeypatch.setattr(second, "describe", None)
    assert set(terms_of(module, small_batch())) == {*SWITCHES} - {"identity"}


@pytest.mark.parametrize("name", SWITCHES)
def test_every_weight_counts_its_own_loss_so_many_times(build: Build, name: str) -> None:
    batch, weight = small_batch(), getattr(PAPERS_FOUR, name)
    usual = terms_of(build(), batch)
    doubled = terms_of(build(**{name: 2 * weight}), batch)
    torch.testing.assert_close(doubled[name], 2 * usual[name])
    for other in set(SWITCHES) - {name}:
        torch.testing.assert_close(doubled[other], usual[other], rtol=0, atol=0)


def test_coefficients_that_count_nothing_switch_their_losses_off() -> None:
    assert replace(PAPERS_FOUR, shape=0.0, albedo=0.0).on == {"identity", "batch_distribution"}


def test_contrast_finds_each_rendering_s_own_photograph(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def watched(photographs: Tensor, renderings: Tensor, own: Tensor, centre: object) -> Tensor:
        seen.update(photographs=photographs, own=own)
        return losses.contrast_loss(photographs, renderings, own, centre)

    monkeypatch.setattr(regression, "contrast_loss", watched)
    batch = small_batch(8)
    terms_of(build(contrast=2.0, rendered=4), batch)
    assert seen["own"].tolist() == [0, 2, 4, 6]
    torch.testing.assert_close(seen["photographs"], batch.photographs.embeddings["small"])


def test_a_run_without_any_loss_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="every loss is off; leave at least one on"):
        build(**dict.fromkeys(SWITCHES, 0.0))


def test_validation_logs_judge_beside_training_network(build: Build) -> None:
    module = build()
    faces = small_batch(6).photographs
    trainer = Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    (logged,) = trainer.validate(module, DataLoader([faces], batch_size=None), verbose=False)
    assert logged["validation/fooling_gap"] == pytest.approx(
        logged["validation/training_similarity"] - logged["validation/judge_similarity"], abs=1e-6
    )
    assert set(logged) == {
        "validation/judge_similarity", "validation/training_similarity", "validation/fooling_gap",
        "validation/top1", "validation/mean_error", "validation/variance_error",
        "validation/beyond_three_deviations",
    }  # fmt: skip
    assert module.validated.shape.shape == (6, 4)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_every_precision_of_the_trainer_has_much_the_same_losses(build: Build, precision: str) -> None:
    batch = small_batch(8)
    expected = {name: float(value.detach()) for name, value in terms_of(build(contrast=2.0), batch).items()}
    module = build(contrast=2.0)
    trainer = Trainer(
        fast_dev_run=True, logger=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", precision=precision,
    )  # fmt: skip
    loaders = DataLoader([batch], batch_size=None), DataLoader([batch.photographs], batch_size=None)
    trainer.fit(module, *loaders)
    logged = {name: float(trainer.callback_metrics[f"train/loss/{name}"]) for name in expected}
    assert logged == pytest.approx(expected, rel=0.03)
    assert float(trainer.callback_metrics["validation/judge_similarity"]) == pytest.approx(0, abs=1)
    # Validation counts in no fewer bits than float32 has.
    assert module.validated.shape.dtype == (torch.float64 if precision == "64-true" else torch.float32)


def test_moments_of_coefficients_in_16_bits_are_taken_in_float32(build: Build) -> None:
    module, batch = build(), small_batch()
    exact = Prediction(torch.randn(8, 4).bfloat16(), torch.randn(8, 3).bfloat16())
    everyone = module.everyone(exact, batch.photographs)
    assert everyone.predicted.shape.dtype == everyone.predicted.albedo.dtype == torch.float32
    expected = module.batch_distribution(Prediction(*(part.float() for part in exact)))
    assert torch.equal(module.batch_distribution(everyone.predicted), expected)
    double = Prediction(*(part.double() for part in exact))
    assert module.everyone(double, batch.photographs).predicted.shape.dtype == torch.float64


def test_a_step_looks_at_its_renderings_in_the_precision_that_it_is_told(
    build: Build, teachers: Teachers
) -> None:
    seen: list[object] = []
    forward = teachers.encoder.forward

    def watched(images: Tensor, **options: object) -> object:
        seen.append(options["rounding"])
        return forward(images, **options)

    teachers.encoder.forward = watched
    module = build()
    terms_of(module, small_batch())
    module.rounded = {"small": torch.bfloat16}
    terms_of(module, small_batch())
    assert seen == [None, torch.bfloat16]
