"""Profiles: the same spec at three scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from repro.config import profiles
from repro.config.errors import SpecError
from repro.config.experiment import CRF, MULTI_SCALE, Evaluation, Run, Start, Training
from repro.config.networks import GCN, Classifier, Conv, Conv1x1, Model, Stack

PRETRAINED = Training(Classifier("resnet50"), "imagenet")


def test_stack_of_one_is_the_convolution() -> None:
    """Stack k = 3 and Conv k = 3 are one experiment in every profile."""
    for name in profiles.PROFILES:
        profile = profiles.get(name)
        stack, conv = (profile.resolve(Training(Model(head))) for head in (Stack(3), Conv(3)))
        assert stack is not None
        assert conv is not None
        assert stack.key == conv.key


def test_keys_tell_experiments_apart() -> None:
    """Kernel, refinement, profile, recipe, length and placing of the stride each make another key."""
    paper = profiles.get("paper")
    runs = [
        paper.resolve(Training(Model(GCN(7)))),
        paper.resolve(Training(Model(GCN(9)))),
        paper.resolve(Training(Model(GCN(7), refine=True))),
        profiles.get("shapes").resolve(Training(Model(GCN(7)))),
        profiles.get("paper", recipe="fast").resolve(Training(Model(GCN(7)))),
        profiles.get("paper", steps=10).resolve(Training(Model(GCN(7)))),
        profiles.get("paper", stride_in="conv2").resolve(Training(Model(GCN(7)))),
    ]
    assert len({run.key for run in runs if run}) == len(runs)


def test_default_evaluation_has_the_key_of_its_training() -> None:
    """Runs under another protocol name the training whose weights they use."""
    profile = profiles.get("shapes")
    training = Training(Model(GCN(15), refine=True))
    plain = profile.resolve(training)
    multi = profile.resolve(training, Evaluation(scales=MULTI_SCALE, flip=True))
    assert plain is not None
    assert multi is not None
    assert multi.key != plain.key
    assert multi.trained() == plain
    assert plain.trained() is plain


def test_stage_keys_depend_on_the_stage_before() -> None:
    """A changed first stage changes the keys after it."""
    profile = profiles.get("paper")
    chains = [Training(Model(head), "voc", init=Training(Model(head), "voc_aug")) for head in (GCN(15), Conv1x1())]
    runs = [profile.resolve(chain) for chain in chains]
    assert all(run is not None and isinstance(run.start, Run) for run in runs)
    assert runs[0] is not None
    assert profiles.get("paper", steps=7).resolve(chains[0]) != runs[0]


def test_camvid_pretrained_backbones() -> None:
    """ResNet-50 starts from weights; ResNet50-GCN, for which there are none, is not run."""
    profile = profiles.get("camvid")
    plain = profile.resolve(Training(Model(Conv1x1(), backbone="resnet50"), init=PRETRAINED))
    assert plain is not None
    assert plain.start == Start("imagenet")
    gcn = Training(Classifier("resnet50_gcn"), "imagenet")
    assert profile.resolve(Training(Model(Conv1x1(), backbone="resnet50_gcn"), init=gcn)) is None


def test_paper_recipe_is_the_papers() -> None:
    """Section 4: batch 1, momentum 0.99, weight decay 5e-4, summed loss (facts)."""
    run = profiles.get("paper").resolve(Training(Model(GCN(15))))
    assert run is not None
    recipe = run.recipe
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay, recipe.loss) == (1, 0.99, 5e-4, "sum")
    assert (run.train[0].height, run.test.height) == (512, 512)


def test_largest_kernel_is_cut_in_the_small_profile() -> None:
    """Table 9's k = 25 becomes the largest kernel that the small map takes."""
    run = profiles.get("shapes").resolve(Training(Model(GCN(25), refine=True), "cityscapes"))
    assert run is not None
    assert isinstance(run.model, Model)
    assert run.model.head == GCN(15)


@pytest.mark.parametrize("words", [{"recipe": "none"}, {"steps": -1}])
def test_bad_choices_are_one_sentence(words: dict[str, object]) -> None:
    """An unknown recipe or a negative length names the choice and the remedy."""
    with pytest.raises(SpecError, match=r"choose|positive"):
        profiles.get("shapes", **words)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="shapes, camvid_half, camvid_short, camvid, paper"):
        profiles.get("voc")


def test_roles_of_the_stages_in_shapes() -> None:
    """Stage-1 is noisy and longer, later stages are shorter; fine-tuning a classifier is a whole training."""
    profile = profiles.get("shapes")
    model = Model(GCN(15), refine=True)
    first = Training(model, "coco_voc_aug")
    second = Training(model, "voc_aug", init=first)
    runs = [profile.resolve(t) for t in (first, second, Training(model, "voc", init=second), Training(model))]
    assert [[s.split for s in run.train] for run in runs if run] == [["mix", "train"], ["train"], ["fine"], ["train"]]
    assert [run.steps for run in runs if run] == [1500, 750, 750, 1500]
    tuned = profile.resolve(Training(Model(Conv1x1(), backbone="resnet50"), init=PRETRAINED))
    assert tuned is not None
    assert tuned.steps == 1500
    assert isinstance(tuned.start, Run)
    assert (tuned.start.recipe.name, tuned.start.test.split) == ("cls", "cls_test")
    assert all(run.steps * run.recipe.batch_size <= 12_000 for run in (*runs, tuned, tuned.start) if run)


def test_wide_images_are_cropped_in_training_and_whole_in_tests() -> None:
    """Table 9 in shapes: random squares, then the native 96 x 192."""
    run = profiles.get("shapes").resolve(Training(Model(GCN(25), refine=True), "cityscapes_mix"), Evaluation(crops=4))
    assert run is not None
    assert [(s.split, s.height, s.width, s.crop) for s in run.train] == [
        ("wide_mix", 96, 96, True),
        ("wide", 96, 96, True),
    ]
    assert (run.test.split, run.test.height, run.test.width) == ("wide_test", 0, 0)


def test_the_profile_gives_the_usual_crf_its_parameters() -> None:
    """A CRF without parameters of its own takes the profile's; one with its own keeps them."""
    mine, own = CRF(bilateral_sd=20.0), CRF(bilateral_w=4.0)
    profile = replace(profiles.get("shapes"), crf=mine)
    training = Training(Model(GCN(15)))
    found = [profile.resolve(training, Evaluation(crf=crf)) for crf in (CRF(), own, None)]
    assert [run.evaluation.crf for run in found if run] == [mine, own, None]
    assert found[2] == profiles.get("shapes").resolve(training)


def test_scores_never_come_from_images_that_a_recipe_was_chosen_on() -> None:
    """No role of shapes is tested on "val" or "cls_val", nor trained on what it is tested on."""
    for role in profiles.SHAPES.roles.values():
        assert role.test.split not in {"val", "cls_val", "control_val"}
        assert role.test.split not in {source.split for source in role.train}


def test_the_same_values_give_the_same_run_and_equal_ones_of_another_kind_another_key() -> None:
    """What was resolved is remembered by identity: 1 and 1.0 are equal, and two keys."""
    profile, training = profiles.get("shapes"), Training(Model(GCN(3)))
    whole, real = Evaluation(scales=(0.5, 1)), Evaluation(scales=(0.5, 1.0))
    first, second = profile.resolve(training, whole), profile.resolve(training, real)
    assert first is profile.resolve(training, whole)
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert first.key == replace(first).key
    assert first.trained() is first.trained()


def test_the_stride_where_the_original_has_it_is_no_other_experiment() -> None:
    """`--stride-in conv1` says of the weights what the network has already: the same key and no word in a title."""
    asked, plain = profiles.get("camvid", stride_in="conv1"), profiles.get("camvid")
    runs = [profile.resolve(Training(Model(GCN(7)))) for profile in (asked, plain)]
    assert runs[0] == runs[1]
    assert asked.variant == plain.variant == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"steps": 0}, "steps 0: give a positive"), ({"steps": -4}, "steps -4"), ({"stride_in": "conv3"}, "conv1, conv2")],
)
def test_what_no_training_can_be_cut_or_changed_to(changes: dict[str, Any], says: str) -> None:
    """No length of 0, which is not the whole length either, and no third placing of the stride."""
    with pytest.raises(SpecError, match=says):
        profiles.get("shapes", **changes)


def test_a_variant_is_named() -> None:
    """What a profile's trainings differ in from its own, in words."""
    assert profiles.get("paper", steps=1, recipe="fast").variant == "every training cut to 1 step; recipe fast"
    assert profiles.get("paper", recipe="paper").variant == ""
