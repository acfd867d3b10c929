"""Loads what every worker's first AWS client takes half of its start for; workers forked after that share it."""

from facecore.aws import Aws
from facecore.settings import AwsSettings

# Making a client opens no connection; it reads botocore's descriptions of the service.
for service in ("sqs", "s3"):
    Aws(AwsSettings(id="preloaded", endpoint_url="http://127.0.0.1:1")).client(service)
