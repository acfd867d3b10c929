"""User data of instances: `NAME=value` lines, which a machine reads at boot, and EC2's base64 around them.

`packer/files/bin/read-user-data` checks the same rules on the machine itself; a test holds the two together.
"""

import base64
import binascii
import re
from collections.abc import Mapping

from facecore.errors import SettingsError

MAX_BYTES = 16_384
"""Of all user data: EC2 takes no more."""
MAX_VALUE_BYTES = 1024
# Docker's --env-file takes a value up to the line's end as it is, so printable ASCII is all that may be in it.
_LINE = re.compile(r"(EFACE_[A-Z0-9_]{1,64}|AWS_ENDPOINT_URL)=([ -~]*)")


def lines(variables: Mapping[str, str]) -> str:
    """The variables as `NAME=value` lines; raises SettingsError if a machine would refuse one at boot."""
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    if parse(text) != dict(variables):
        raise SettingsError("a name or a value of the user data holds a line break, or a name begins with '#'")
    return text


def parse(text: str) -> dict[str, str]:
    """The variables of `NAME=value` lines; empty lines and those that begin with '#' do not count.

    Raises SettingsError, which names lines by their numbers alone since a value may be secret.
    """
    # A byte that is no UTF-8 may stand in a comment, where `decode` lets it through as a surrogate.
    if len(text.encode(errors="surrogateescape")) > MAX_BYTES:
        raise SettingsError(f"the user data is longer than {MAX_BYTES} bytes")
    if "\0" in text:
        raise SettingsError("there is a null byte in the user data")
    variables: dict[str, str] = {}
    for number, line in enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1):
        if not line or line.startswith("#"):
            continue
        if not (found := _LINE.fullmatch(line)) or len(found[2]) > MAX_VALUE_BYTES:
            raise SettingsError(
                f"line {number} of the user data: want EFACE_NAME=value or AWS_ENDPOINT_URL=value in printable ASCII, "
                f"with a value of at most {MAX_VALUE_BYTES} bytes"
            )
        if found[1] == "EFACE_INSTANCE_ID":
            raise SettingsError(f"line {number} of the user data: an instance's id comes from its metadata")
        if found[1] in variables:
            raise SettingsError(f"line {number} of the user data: {found[1]} is set twice")
        variables[found[1]] = found[2]
    return variables


def encode(variables: Mapping[str, str]) -> str:
    """The variables as EC2 takes user data: lines, in base64. Raises SettingsError as `lines` does."""
    return base64.b64encode(lines(variables).encode()).decode()


def decode(encoded: str) -> dict[str, str]:
    """The variables of user data in base64; raises SettingsError."""
    try:
        text = base64.b64decode(encoded, validate=True).decode(errors="surrogateescape")
    except binascii.Error as error:
        raise SettingsError(f"the user data is not in base64: {error}") from error
    return parse(text)
