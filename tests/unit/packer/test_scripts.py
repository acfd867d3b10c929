"""The scripts around Packer: what they refuse, what they write, and the units as systemd reads them."""

import functools
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.ground import ROOT
from support.requirements import require_program

UNITS = ROOT / "packer/files/units"
PROGRAMS = ROOT / "packer/files/bin"
VERSION = "3.3.9999.0"


def _run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "packer" / script, *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that is served as AWS's bucket of the SSM agent, and its URL."""
    folder = tmp_path / "bucket"
    package = folder / VERSION / "debian_amd64/amazon-ssm-agent.deb"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"a package")
    (folder / "latest").mkdir()
    (folder / "latest/VERSION").write_text(f"{VERSION}\n")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _versions(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "packer/versions.auto.pkrvars.hcl", tmp_path))


def test_the_ssm_agent_is_pinned_by_version_and_sum(bucket: tuple[Path, str], tmp_path: Path) -> None:
    versions = _versions(tmp_path)
    answer = _run("pin-ssm-agent", SSM_AGENT_URL=bucket[1], VERSIONS_FILE=str(versions))
    assert answer.returncode == 0, answer.stderr
    assert f'ssm_agent_version = "{VERSION}"\n' in versions.read_text()
    assert f'ssm_agent_sha256  = "{hashlib.sha256(b"a package").hexdigest()}"\n' in versions.read_text()


@pytest.mark.parametrize("missing", ["latest/VERSION", f"{VERSION}/debian_amd64/amazon-ssm-agent.deb"])
def test_nothing_is_pinned_where_the_bucket_lacks_it(bucket: tuple[Path, str], tmp_path: Path, missing: str) -> None:
    versions = _versions(tmp_path)
    before = versions.read_text()
    (bucket[0] / missing).unlink()
    answer = _run("pin-ssm-agent", SSM_AGENT_URL=bucket[1], VERSIONS_FILE=str(versions))
    assert answer.returncode != 0
    assert "pin-ssm-agent: cannot read" in answer.stderr
    assert versions.read_text() == before


def test_an_agent_with_another_sum_is_not_installed(bucket: tuple[Path, str]) -> None:
    script = ROOT / "packer/scripts/20-ssm-agent"
    variables = {"SSM_AGENT_URL": bucket[1], "SSM_AGENT_VERSION": VERSION, "SSM_AGENT_SHA256": "0" * 64, "REGION": ""}
    answer = subprocess.run(
        ["bash", script], env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 1
    assert "has another SHA-256" in answer.stderr


def test_without_images_the_build_says_what_makes_them(tmp_path: Path) -> None:
    answer = _run("build", PACKER="true", IMAGES_FILE=str(tmp_path / "none.json"))
    assert answer.returncode == 1
    assert "run `make push` first" in answer.stderr


def test_without_packer_the_build_says_so() -> None:
    answer = _run("build", PACKER="no-such-packer")
    assert answer.returncode == 1
    assert "packer is not installed" in answer.stderr


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("false", 0)])
def test_without_packer_the_check_fails_in_continuous_integration_alone(ci: str, status: int) -> None:
    answer = _run("check", PACKER="no-such-packer", CI=ci)
    assert answer.returncode == status
    assert "packer is not installed" in answer.stderr


@pytest.mark.parametrize(
    "variable", ["worker_image=registry/worker:latest", "commit=main", "region=nowhere", "ssm_agent_version=latest"]
)
def test_a_variable_that_cannot_be_is_refused(variable: str) -> None:
    require_program("packer")
    good = {
        "commit": "0" * 40,
        "ssm_agent_version": "none",
        "worker_image": f"registry:5000/worker@sha256:{'0' * 64}",
    } | dict([variable.split("=", 1)])
    arguments = [part for name, value in good.items() for part in ("-var", f"{name}={value}")]
    command = ["packer", "validate", *arguments, str(ROOT / "packer")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode != 0
    assert "Invalid value" in answer.stdout + answer.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    require_program("systemd-analyze")
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/local/lib/elastic-face", str(PROGRAMS))
        (tmp_path / unit.name).write_text(text)
    # It looks for what a unit requires, too: Docker need not be on this machine.
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    names = [str(path) for path in tmp_path.iterdir()]
    answer = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    ours = [line for line in answer.stderr.splitlines() if "elastic-face" in line]
    assert (answer.returncode, ours) == (0, [])
