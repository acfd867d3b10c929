"""What the tiers themselves cost a request: web, queues and worker around a recogniser that does nothing.

Prints requests a second and the waits of a warm stack beside the emulator's floor, which is the same AWS calls with
no code of ours around them, at the same concurrency in the same run. Writes build/bench/path.json.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
from support.ground import CREDENTIALS, ROOT
from support.stacks.embedded import started
from support.stacks.stack import Stack
from tqdm import tqdm

REQUESTS = 400
CONCURRENCY = 16
FLOOR_PROCESSES = 4
IMAGE = os.urandom(20_000)


def figures(seconds: list[float], total_s: float) -> dict[str, float]:
    """Requests a second, median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "requests_per_s": round(len(seconds) / total_s, 1),
        "p50_ms": round(cuts[49] * 1e3, 1),
        "p99_ms": round(cuts[98] * 1e3, 1),
    }


async def _through_the_tiers(stack: Stack, requests: int, label: str) -> dict[str, float]:
    seconds: list[float] = []
    numbers = iter(range(requests))
    limits = httpx.Limits(max_connections=CONCURRENCY)
    with tqdm(total=requests, desc=label, leave=False) as bar:
        async with httpx.AsyncClient(base_url=stack.web_url, timeout=120, limits=limits) as client:

            async def visitor() -> None:
                for number in numbers:
                    start = time.monotonic()
                    answer = await client.post("/", files={"inputFile": (f"{label}-{number}.jpg", IMAGE)})
                    answer.raise_for_status()
                    seconds.append(time.monotonic() - start)
                    bar.update()

            start = time.monotonic()
            await asyncio.gather(*(visitor() for _ in range(CONCURRENCY)))
            return figures(seconds, time.monotonic() - start)


def _calls_of_requests(aws_url: str, requests: int) -> list[float]:
    """The AWS calls of so many requests, one request after another on each of a few threads."""
    session = boto3.Session()
    s3 = session.client("s3", endpoint_url=aws_url)
    sqs = session.client("sqs", endpoint_url=aws_url)
    urls = [sqs.get_queue_url(QueueName=f"floor-{name}-queue")["QueueUrl"] for name in ("req", "resp")]
    with ThreadPoolExecutor(CONCURRENCY // FLOOR_PROCESSES) as pool:
        return list(pool.map(lambda number: _calls_of_one(s3, sqs, urls, number), range(requests)))


def _calls_of_one(s3: Any, sqs: Any, urls: list[str], number: int) -> float:
    key, body = f"{os.getpid()}-{number}.jpg", "x" * 250
    start = time.monotonic()
    s3.put_object(Bucket="floor-in-bucket", Key=key, Body=IMAGE)
    sqs.send_message(QueueUrl=urls[0], MessageBody=body)
    request = _received(sqs, urls[0])
    s3.get_object(Bucket="floor-in-bucket", Key=key)["Body"].read()
    s3.put_object(Bucket="floor-out-bucket", Key=key, Body=b"unknown")
    sqs.send_message(QueueUrl=urls[1], MessageBody=body)
    for url, receipt in ((urls[0], request), (urls[1], _received(sqs, urls[1]))):
        sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": receipt}])
    return time.monotonic() - start


def _received(sqs: Any, url: str) -> str:
    while True:
        if messages := sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages"):
            return str(messages[0]["ReceiptHandle"])


def _floor(stack: Stack) -> dict[str, float]:
    for name in ("in", "out"):
        stack.s3.create_bucket(Bucket=f"floor-{name}-bucket")
    for name in ("req", "resp"):
        stack.client("sqs").create_queue(QueueName=f"floor-{name}-queue", Attributes={"VisibilityTimeout": "120"})
    share = REQUESTS // FLOOR_PROCESSES
    with ProcessPoolExecutor(FLOOR_PROCESSES) as pool:
        list(pool.map(_calls_of_requests, [stack.aws_url] * FLOOR_PROCESSES, [4] * FLOOR_PROCESSES))
        start = time.monotonic()
        parts = list(pool.map(_calls_of_requests, [stack.aws_url] * FLOOR_PROCESSES, [share] * FLOOR_PROCESSES))
        total_s = time.monotonic() - start
    return figures([seconds for part in parts for seconds in part], total_s)


def main() -> None:
    """Runs the benchmark, prints its table and writes its file."""
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as folder:
        variables = {"EFACE_MODEL": "noop", "EFACE_BOOT_S": "0", "EFACE_IDLE_S": "20"}
        with started(Path(folder), **variables) as stack:
            asyncio.run(_through_the_tiers(stack, 100, "warm-up"))
            tiers = asyncio.run(_through_the_tiers(stack, REQUESTS, "tiers"))
            stack.wait_until_idle(60)
            floor = _floor(stack)
    sys.stdout.write(f"{REQUESTS} requests, {CONCURRENCY} at a time, recogniser: none\n")
    sys.stdout.write(f"{'':18}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}\n")
    for label, row in (("through the tiers", tiers), ("emulator's floor", floor)):
        sys.stdout.write(f"{label:18}{row['requests_per_s']:12}{row['p50_ms']:10}{row['p99_ms']:10}\n")
    ratios = {name: tiers[name] / floor[name] for name in tiers}
    sys.stdout.write(
        f"{'ratio':18}" + "".join(f"{ratios[name]:{w}.2f}" for name, w in zip(tiers, (12, 10, 10), strict=True))
    )
    sys.stdout.write("\n")
    target = ROOT / "build/bench/path.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(tiers | {"floor": floor}, indent=2) + "\n")


if __name__ == "__main__":
    main()
