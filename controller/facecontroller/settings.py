"""The controller's configuration."""

from typing import Self

from facecore.settings import InstanceTypes, MaxInstances, MetricsSettings
from pydantic import Field, model_validator

from facecontroller.model import Config, Goal, Offering
from facecontroller.throttle import Limits

_LIST = r"^[a-z0-9.-]*(,[a-z0-9.-]+)*$"


class Settings(MetricsSettings):
    """Read from `EFACE_*` variables, once, in `main()`."""

    launch_template: str = Field("", max_length=128)
    """Name of the launch template that makes a worker's instance; `<ID>-worker` by default."""
    max_instances: MaxInstances = 15
    """Most instances that may exist, stopped ones included."""
    tick_s: float = Field(1.0, ge=0.05, le=10)
    """Seconds from one look at the queue to the next."""
    boot_timeout_s: float = Field(300, ge=30, le=3600)
    """Seconds after which an instance that is still pending is given up."""
    # SQS's counts may be wrong for a minute, so less than that is no evidence.
    reap_after_s: float = Field(300, ge=60, le=86_400)
    """Seconds without demand after which an instance that still runs is stopped."""
    max_age_s: float = Field(86_400, ge=600, le=31_536_000)
    """Seconds after its first launch at which an instance is retired."""
    policy: Goal = Goal.DEMAND
    """`demand`: an instance for each request, up to the maximum. `frugal`: as few as end the wait nearly as soon."""
    warm_pool: int | None = Field(None, ge=0, le=10_000)
    """Most stopped instances that are kept for re-use; the maximum by default."""
    warm_s: float = Field(86_400, ge=60, le=31_536_000)
    """Seconds after its last start for which a stopped instance is kept."""
    instance_types: InstanceTypes = ""
    """EC2 instance types to launch, separated by commas, the preferred one first; the launch template's by default."""
    subnets: str = Field("", pattern=_LIST)
    """Subnets to launch in, separated by commas, the preferred one first; the launch template's by default."""
    instance_tokens: int = Field(1000, ge=1, le=100_000)
    """Instances that EC2 lets this account launch at once, and start at once; AWS raises it on request."""
    instance_tokens_per_s: float = Field(2.0, ge=0.1, le=1000)
    """How many more of both it allows a second."""
    price_usd_h: float = Field(0.1008, ge=0, le=1000)
    """Price of an instance in USD an hour, for the estimated cost; m7i.large in us-east-1 by default."""
    heartbeat_file: str = Field("", max_length=4096)
    """Path of a file that is touched at every tick; none if empty."""

    @model_validator(mode="after")
    def _reap_before_retiring(self) -> Self:
        if self.reap_after_s > self.max_age_s:
            raise ValueError("EFACE_REAP_AFTER_S must not be above EFACE_MAX_AGE_S")
        return self

    @property
    def worker_template(self) -> str:
        """Name of the launch template in use."""
        return self.launch_template or f"{self.id}-worker"

    def config(self) -> Config:
        """What the policy needs of these settings."""
        return Config(
            max_instances=self.max_instances,
            boot_timeout_s=self.boot_timeout_s,
            reap_after_s=self.reap_after_s,
            max_age_s=self.max_age_s,
            goal=self.policy,
            warm_pool=self.warm_pool,
            warm_s=self.warm_s,
            offerings=tuple(
                Offering(kind, subnet) for kind in self.instance_types.split(",") for subnet in self.subnets.split(",")
            ),
            limits=Limits(instances=self.instance_tokens, instances_per_s=self.instance_tokens_per_s),
        )
