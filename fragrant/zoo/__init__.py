"""The box: trained models that ship with the package, by name."""

from fragrant.zoo.box import PREFIX, ZooError, checkpoint_named, config_file, is_in_box, model_names, weights_file
from fragrant.zoo.card import Card, Score, load_card, load_cards, save_card
from fragrant.zoo.page import files_page, list_of_models, model_page

__all__ = [
    "PREFIX",
    "Card",
    "Score",
    "ZooError",
    "checkpoint_named",
    "config_file",
    "files_page",
    "is_in_box",
    "list_of_models",
    "load_card",
    "load_cards",
    "model_names",
    "model_page",
    "save_card",
    "weights_file",
]
