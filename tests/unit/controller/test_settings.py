"""The controller's settings."""

import pytest
from facecontroller.model import Config
from facecontroller.settings import Settings
from facecontroller.throttle import Limits
from facecore.errors import SettingsError
from facecore.settings import load


def test_the_defaults_are_those_of_the_design() -> None:
    settings = load(Settings, {"EFACE_ID": "local"})
    assert settings.config() == Config(15, 300, 300, 86_400, warm_s=86_400)
    assert (settings.tick_s, settings.worker_template, settings.metrics_port) == (1, "local-worker", 0)


def test_the_launch_template_can_be_another() -> None:
    assert load(Settings, {"EFACE_ID": "x1", "EFACE_LAUNCH_TEMPLATE": "big"}).worker_template == "big"


def test_offerings_are_the_types_in_each_subnet_in_order() -> None:
    variables = {"EFACE_ID": "x1", "EFACE_INSTANCE_TYPES": "m7i.large,m6i.large", "EFACE_SUBNETS": "subnet-1,subnet-2"}
    assert [o.key for o in load(Settings, variables).config().offerings] == [
        "m7i.large@subnet-1",
        "m7i.large@subnet-2",
        "m6i.large@subnet-1",
        "m6i.large@subnet-2",
    ]


def test_an_account_whose_limits_were_raised_says_so() -> None:
    variables = {"EFACE_ID": "x1", "EFACE_INSTANCE_TOKENS": "10000", "EFACE_INSTANCE_TOKENS_PER_S": "20"}
    assert load(Settings, variables).config().limits == Limits(instances=10_000, instances_per_s=20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_INSTANCES", "-1"),
        ("MAX_INSTANCES", "10001"),
        ("TICK_S", "0"),
        ("TICK_S", "nan"),
        ("BOOT_TIMEOUT_S", "29"),
        ("REAP_AFTER_S", "59"),
        ("MAX_AGE_S", "599"),
        ("METRICS_PORT", "65536"),
        ("POLICY", "generous"),
        ("WARM_POOL", "-1"),
        ("INSTANCE_TOKENS", "0"),
        ("SUBNETS", "subnet-1,,subnet-2"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"EFACE_{name}"):
        load(Settings, {"EFACE_ID": "local", f"EFACE_{name}": value})


def test_reaping_later_than_retiring_is_refused() -> None:
    with pytest.raises(SettingsError, match="EFACE_REAP_AFTER_S must not be above EFACE_MAX_AGE_S"):
        load(Settings, {"EFACE_ID": "local", "EFACE_REAP_AFTER_S": "700", "EFACE_MAX_AGE_S": "600"})
