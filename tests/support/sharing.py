"""How processes share the tests out: a file goes to one process, and so do files whose tests share what is costly."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadFileScheduling

# The fixtures that take long to make, and the files whose tests use them. Those that mostly wait for containers come
# first, so that other tests have the processors meanwhile. A stack serves all tests that name it before the next one
# starts.
_COSTLY = {
    "built_machine": ("e2e/test_machine_image.py", "e2e/test_machine_chain.py"),
    "localstack_url": ("integration/test_permissions.py", "integration/test_deploy_stacks.py"),
    "registry": ("integration/test_push.py",),
    "exported_cache": (
        "integration/test_parity.py",
        "integration/test_recognition.py",
        "integration/test_bad_images.py",
    ),
    "embedded_stack": (),
    "fragile": (),
    "compose_stack": (),
    "fragile_compose": (),
}
_PLACES = list(_COSTLY)
_OF_FILE = {f"tests/{file}": fixture for fixture, files in _COSTLY.items() for file in files}


class Scheduling(LoadFileScheduling):
    """A file at a time for each process, the files that share a fixture as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _OF_FILE.get(file, file)


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests that use what is costly, fixture by fixture, and then the others."""
    return sorted(items, key=_place)


def _place(item: pytest.Item) -> int:
    fixtures = {*getattr(item, "fixturenames", [])}
    if "stack" in fixtures and isinstance(item, pytest.Function):
        fixtures.add(f"{item.callspec.params['stack']}_stack")
    return min((_PLACES.index(name) for name in fixtures if name in _COSTLY), default=len(_PLACES))
