"""Keys from outside: read, checked and refused as those of the package."""

import pytest

from fragrant.config import ConfigError, load_cfg
from fragrant.config.declare import declare_key
from fragrant.config.defaults import KEYS
from fragrant.config.keys import Kind


@pytest.fixture(autouse=True)
def keys():
    before = dict(KEYS)
    yield
    KEYS.clear()
    KEYS.update(before)


def test_a_declared_key_is_read_and_checked():
    declare_key("MY_NET.WIDTH", 8, "channels", allowed=range(1, 4097))
    declare_key("MY_NET.PARTS", [], "what is trained", allowed=("a", "b"), kind=Kind(str, is_list=True))
    assert load_cfg(None, ["MY_NET.WIDTH", "16", "MY_NET.PARTS", "[a]"]).MY_NET == {"WIDTH": 16, "PARTS": ["a"]}
    with pytest.raises(ConfigError, match="MY_NET.WIDTH -3 must be from 1 to 4096"):
        load_cfg(None, ["MY_NET.WIDTH", "-3"])
    with pytest.raises(ConfigError, match="MY_NET.PARTS 'c' is not known; Known: a, b"):
        load_cfg(None, ["MY_NET.PARTS", "[c]"])


@pytest.mark.parametrize(
    "declared, options, message",
    [
        (("MODEL.ARCH", "x", "y"), {}, "MODEL.ARCH is a key or a block of keys already"),
        (("MODEL", "x", "y"), {}, "MODEL is a key or a block of keys already"),
        (("my_net", 1, "y"), {}, "'my_net' cannot be a key; allowed: capital letters"),
        (("MY.LIST", [], "y"), {}, "MY.LIST with the default \\[\\] needs a kind"),
        (("MY.WIDTH", 0, "y"), dict(allowed=range(1, 9)), "MY.WIDTH 0 must be from 1 to 8"),
    ],
)
def test_a_key_that_cannot_be_declared(declared, options, message):
    with pytest.raises(ConfigError, match=f"declare_key: .*{message}"):
        declare_key(*declared, **options)
