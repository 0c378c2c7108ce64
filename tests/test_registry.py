import pytest

from fragrant.errors import UserError
from fragrant.registry import Registry, did_you_mean


@pytest.fixture
def models() -> Registry:
    registry = Registry("MODEL.MODEL_NAME")

    @registry.register("Uniformer")
    def uniformer():
        return 1

    registry.register("CSN")(object)
    return registry


def test_get(models):
    assert models.get("Uniformer")() == 1
    assert models.names() == ["CSN", "Uniformer"]


@pytest.mark.parametrize(
    "name, message",
    [
        ("Unifromer", "MODEL.MODEL_NAME 'Unifromer' is not known; did you mean 'Uniformer'? Known: CSN, Uniformer"),
        ("uniformer", "MODEL.MODEL_NAME 'uniformer' is not known; did you mean 'Uniformer'? Known: CSN, Uniformer"),
        ("X3D", "MODEL.MODEL_NAME 'X3D' is not known; Known: CSN, Uniformer"),
    ],
)
def test_unknown_name_lists_the_names(models, name, message):
    with pytest.raises(UserError) as error:
        models.get(name)
    assert str(error.value) == message


def test_the_key_that_has_the_name_is_named(models):
    with pytest.raises(UserError, match="^DUAL.BACKBONE 'X3D' is not known; Known: CSN, Uniformer"):
        models.get("X3D", key="DUAL.BACKBONE")


def test_a_name_is_given_once(models):
    with pytest.raises(AssertionError):
        models.register("CSN")(object)


def test_did_you_mean_nothing():
    assert did_you_mean("zzz", ["abc"]) == ""
