import math
from dataclasses import replace

import torch

from mlic.report.galleries import collect
from mlic.report.mistakes import false_positives, highest_losses, misses, sample_losses
from mlic.report.summary import summarise


def table(samples=200, classes=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    strength = torch.randn(samples, classes, generator=generator).mul(2).round(decimals=1)  # with ties
    labels = torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)
    return strength, strength > 0.5, labels


def test_false_positives_and_misses_are_those_of_a_loop_over_all_cells():
    strength, present, labels = table()
    wrong, missed = (which(strength, present, labels, 9) for which in (false_positives, misses))
    for column in range(strength.shape[1]):
        rows = range(len(strength))
        said = [row for row in rows if present[row, column] and labels[row, column] == 0]
        unsaid = [row for row in rows if not present[row, column] and labels[row, column] == 1]
        assert wrong[column] == sorted(said, key=lambda row: (-float(strength[row, column]), row))[:9]
        assert missed[column] == sorted(unsaid, key=lambda row: (float(strength[row, column]), row))[:9]


def test_the_loss_of_an_image_is_minus_the_logarithm_of_the_probability_of_its_known_labels():
    strength, _, labels = table(30)
    found = sample_losses(strength, labels)
    for row in range(30):
        probability = 1.0
        for score, label in zip(strength[row].double().sigmoid().tolist(), labels[row].tolist(), strict=True):
            probability *= {1: score, 0: 1 - score, -1: 1.0}[label]
        assert math.isclose(found[row], -math.log(probability), abs_tol=1e-9)


def test_losses_of_the_surest_logits_are_finite_and_unknown_cells_add_nothing():
    largest = torch.finfo(torch.float32).max
    labels = torch.tensor([[0, 1], [-1, -1]], dtype=torch.int8)
    losses = sample_losses(torch.tensor([[largest, -largest], [largest, -largest]]), labels)
    assert losses.tolist() == [100.0, 0.0]
    assert highest_losses(losses, 5) == [0]


def test_swapped_labels_are_the_first_that_may_be_wrong(scored):
    labels = scored.labels.clone()
    logits = torch.where(labels == 1, 3.0, -3.0) + 0.1 * scored.logits
    swapped = [(10, 0), (20, 1), (49, 2), (33, 3)]
    for row, column in swapped:
        labels[row, column] = int(logits[row, column] < 0)
        logits[row, column] *= 3
    wrong = replace(scored, logits=logits, labels=labels)
    found = collect(wrong, summarise(wrong, 2).worst_first).label_errors
    assert {card.row for card in found[:4]} == {row for row, _ in swapped}
    for card in found[:4]:
        column = dict(swapped)[card.row]
        assert f"without {scored.classes[column]}," in card.note or f"labelled {scored.classes[column]}," in card.note


def test_no_card_calls_an_unknown_cell_a_mistake(scored):
    galleries = collect(scored, summarise(scored, 5).worst_first)
    verdicts = set()
    for card in galleries.cards():
        assert card.path == scored.paths[card.row]
        for said in (*card.true, *card.predicted):
            column = scored.classes.index(said.name)
            label, present = int(scored.labels[card.row, column]), bool(scored.present[card.row, column])
            assert (
                said.verdict
                == {(1, True): "right", (0, True): "wrong", (1, False): "missed", (-1, True): "unknown"}[label, present]
            )
            verdicts.add(said.verdict)
    assert verdicts == {"right", "wrong", "missed", "unknown"}


def test_each_class_shows_its_surest_mistakes_the_worst_class_first(scored):
    summary = summarise(scored, 5)
    galleries = collect(scored, summary.worst_first)
    areas = [one.figures.average_precision for one in galleries.classes if one.figures.support]
    assert areas == sorted(areas)
    assert galleries.classes[-1].figures.name == "never"  # without any AP
    for gallery in galleries.classes:
        scores = [scored.scores[card.row, gallery.figures.column] for card in gallery.false_positives]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == min(8, gallery.figures.false_positives)
        assert len(gallery.misses) == min(8, gallery.figures.misses)
