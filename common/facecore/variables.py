"""Every `EFACE_*` variable by its reader: what the stacks pass on, and which names are misspelt.

An image holds its own program alone, so no program can ask the others what they read. This is the one list; a test
holds it equal to the settings classes and to what the scripts and compose.yaml read.
"""

import difflib
from collections.abc import Collection, Iterable

EVERY_PROGRAM = frozenset({"EFACE_ID", "EFACE_REGION", "EFACE_LOG_LEVEL"})
WEB = frozenset(
    {
        "EFACE_AWS_THREADS",
        "EFACE_HOST",
        "EFACE_MAX_UPLOAD_BYTES",
        "EFACE_MAX_WAITING",
        "EFACE_PORT",
        "EFACE_REPLY_QUEUE",
        "EFACE_RESULT_TIMEOUT_S",
        "EFACE_SHUTDOWN_S",
        "EFACE_UPLOAD_TIMEOUT_S",
    }
)
WORKER = frozenset(
    {
        "EFACE_CACHE_DIR",
        "EFACE_ENGINE",
        "EFACE_GALLERY_REFRESH_S",
        "EFACE_IDLE_S",
        "EFACE_INSTANCE_ID",
        "EFACE_MAX_PIXELS",
        "EFACE_MAX_UPLOAD_BYTES",
        "EFACE_METRICS_HOST",
        "EFACE_METRICS_PORT",
        "EFACE_MODEL",
        "EFACE_PRECISION",
        "EFACE_REQUEST_LIMIT_S",
        "EFACE_THREADS",
        "EFACE_VISIBILITY_S",
        "EFACE_WEIGHTS_SHA256",
        "EFACE_WEIGHTS_URL",
    }
)
CONTROLLER = frozenset(
    {
        "EFACE_BOOT_TIMEOUT_S",
        "EFACE_HEARTBEAT_FILE",
        "EFACE_INSTANCE_TOKENS",
        "EFACE_INSTANCE_TOKENS_PER_S",
        "EFACE_INSTANCE_TYPES",
        "EFACE_LAUNCH_TEMPLATE",
        "EFACE_MAX_AGE_S",
        "EFACE_MAX_INSTANCES",
        "EFACE_METRICS_HOST",
        "EFACE_METRICS_PORT",
        "EFACE_POLICY",
        "EFACE_PRICE_USD_H",
        "EFACE_REAP_AFTER_S",
        "EFACE_SUBNETS",
        "EFACE_TICK_S",
        "EFACE_WARM_POOL",
        "EFACE_WARM_S",
    }
)
MACHINE = frozenset(
    {
        "EFACE_CONTROLLER_IMAGE",
        "EFACE_LOG_GROUP",
        "EFACE_ROLE",
        "EFACE_WEB_IMAGE",
        "EFACE_WORKER_IMAGE",
    }
)
"""Read by the scripts of the machine image; run-container keeps them from the programs."""
DEPLOYMENT = frozenset(
    {
        "EFACE_ALARM_EMAIL",
        "EFACE_BUILD_DIR",
        "EFACE_COST_GUARD_VCPUS",
        "EFACE_FACE_DATA_DAYS",
        "EFACE_INSTANCE_TYPES",
        "EFACE_LOG_DAYS",
        "EFACE_MAX_INSTANCES",
        "EFACE_MODEL",
        "EFACE_OLDEST_REQUEST_S",
        "EFACE_WEB_CIDR",
        "EFACE_WEB_ENVIRONMENT",
        "EFACE_WEB_INSTANCE_TYPE",
        "EFACE_WORKER_ENVIRONMENT",
    }
)
LOCAL = frozenset(
    {
        "EFACE_AMI",
        "EFACE_BOOT_S",
        "EFACE_DRIVER",
        "EFACE_EMULATOR_HOST",
        "EFACE_EMULATOR_PORT",
        "EFACE_GALLERY_FILE",
        "EFACE_INSTANCE_CPUS",
        "EFACE_INSTANCE_MEMORY_MIB",
        "EFACE_INSTANCE_TYPE",
        "EFACE_MACHINE_IMAGE",
        "EFACE_MAX_FAILURES",
        "EFACE_METADATA_IMAGE",
        "EFACE_MODEL",
        "EFACE_NETWORK",
        "EFACE_POLL_S",
        "EFACE_PRELOAD",
        "EFACE_RESOURCES_FILE",
        "EFACE_RESTART_S",
        "EFACE_RUN_DIR",
        "EFACE_STOP_GRACE_S",
        "EFACE_WORKER",
        "EFACE_WORKER_ENVIRONMENT",
        "EFACE_WORKER_IMAGE",
    }
)
"""Read by the hypervisor, the emulator and `make up`."""
KNOWN = EVERY_PROGRAM | WEB | WORKER | CONTROLLER | MACHINE | DEPLOYMENT | LOCAL

# What a container's image, its stack or its instance decides: another value would cut the program off from them.
_SURROUNDINGS = frozenset(
    {
        "EFACE_CACHE_DIR",
        "EFACE_HEARTBEAT_FILE",
        "EFACE_HOST",
        "EFACE_ID",
        "EFACE_INSTANCE_ID",
        "EFACE_PORT",
    }
)
# What may be chosen for a program that runs in a container.
WEB_CONTAINER = (EVERY_PROGRAM | WEB) - _SURROUNDINGS
CONTROLLER_CONTAINER = (EVERY_PROGRAM | CONTROLLER) - _SURROUNDINGS
WORKER_CONTAINER = (EVERY_PROGRAM | WORKER) - _SURROUNDINGS
# What EFACE_WEB_ENVIRONMENT and EFACE_WORKER_ENVIRONMENT may hold in a deployment, which decides the rest itself.
WEB_HOST_LINES = (WEB_CONTAINER | CONTROLLER_CONTAINER) - DEPLOYMENT - {"EFACE_REGION", "EFACE_SUBNETS"}
WORKER_LINES = WORKER_CONTAINER - {"EFACE_REGION"}
# What workers of a local stack get of the variables that the stack is started with. Not where their figures are served:
# these two variables mean the controller there, and embedded workers could not all listen on its port.
LOCAL_WORKERS = (EVERY_PROGRAM | WORKER) - {
    "EFACE_ID",
    "EFACE_INSTANCE_ID",
    "EFACE_METRICS_HOST",
    "EFACE_METRICS_PORT",
}


def complaints(names: Iterable[str], allowed: Collection[str], refusal: str = "no program reads it") -> list[str]:
    """A sentence for each `EFACE_*` name that is not `allowed`, with the nearest allowed one if it looks misspelt."""
    return [
        f"{name}: {refusal}{'' if name in KNOWN else _suggestion(name, allowed)}"
        for name in names
        if name.startswith("EFACE_") and name not in allowed
    ]


def _suggestion(name: str, allowed: Collection[str]) -> str:
    # The prefix that all names share would make each of them look near.
    words = {known.removeprefix("EFACE_"): known for known in allowed}
    near = difflib.get_close_matches(name.removeprefix("EFACE_"), words, n=1)
    return f"; did you mean {words[near[0]]}?" if near else "; docs/settings.md lists all names"
