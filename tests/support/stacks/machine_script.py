"""The machine image's script that reads user data, run against a metadata service as at boot."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facelocal.hypervisor.metadata import MetadataServer

from support.ground import ROOT

SCRIPT = ROOT / "packer/files/bin/read-user-data"
INSTANCE_ID = "i-0123456789abcdef0"
REGION = "us-east-1"
_INSTANCE = {
    "EFACE_INSTANCE_ID": INSTANCE_ID,
    "EFACE_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@dataclass
class ReadUserData:
    """The script, and the metadata service that it asks."""

    server: MetadataServer
    folder: Path
    """Where it writes to."""

    def run(self, user_data: str) -> subprocess.CompletedProcess[str]:
        """Runs the script on an instance with this user data; none if empty."""
        self.server.documents.pop("/latest/user-data", None)
        if user_data:
            self.server.documents["/latest/user-data"] = user_data
        endpoint = f"http://127.0.0.1:{self.server.server_port}"
        return subprocess.run(
            [SCRIPT, self.folder],
            env=os.environ | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """What it wrote for the programs."""
        lines = (self.folder / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def read(self, user_data: str) -> dict[str, str] | None:
        """What it takes from the user data, without what comes from the metadata; None if it refuses it."""
        if self.run(user_data).returncode:
            return None
        found = self.environment()
        assert found.pop("EFACE_INSTANCE_ID") == INSTANCE_ID
        if "EFACE_REGION=" not in user_data:
            assert found.pop("EFACE_REGION") == REGION
        return found


@contextmanager
def reading(folder: Path, **metadata: str) -> Iterator[ReadUserData]:
    """The script while its metadata service runs; `metadata` replaces what that says of the instance."""
    variables: Mapping[str, str] = _INSTANCE | metadata
    with MetadataServer(("127.0.0.1", 0), variables) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield ReadUserData(server, folder / "run")
        server.shutdown()
        thread.join()
