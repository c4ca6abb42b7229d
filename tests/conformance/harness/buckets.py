"""The stores that a broker under test keeps its data in."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

import pytest

from harness.child import Child
from harness.ports import free_port
from harness.waiting import wait_for

_KEY, _SECRET = "conformance", "conformance-secret"
BACKENDS = ("file", "moto", "minio")


class Bucket(Protocol):
    """A bucket of its own for one broker."""

    url: str
    env: dict[str, str]

    def stop(self) -> None: ...


class FileBucket:
    """A directory."""

    def __init__(self, directory: Path) -> None:
        self.url = f"file://{directory / 'bucket'}"
        self.env: dict[str, str] = {}

    def stop(self) -> None:
        pass


class S3Bucket:
    """A bucket in an S3 server that is started for it."""

    def __init__(self, backend: str, directory: Path) -> None:
        # Whatever may skip comes before there is a server to stop.
        boto3 = pytest.importorskip("boto3")
        port = free_port()
        endpoint = f"http://127.0.0.1:{port}"
        log = directory / f"{backend}.log"
        if backend == "moto":
            self._server = Child([_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], log)
            health = endpoint + "/moto-api/data.json"
        else:
            env = {
                **os.environ,
                "MINIO_ROOT_USER": _KEY,
                "MINIO_ROOT_PASSWORD": _SECRET,
                "MINIO_BROWSER": "off",
            }
            data = directory / "minio"
            self._server = Child([_program("minio"), "server", "--address", f"127.0.0.1:{port}", str(data)], log, env)
            health = endpoint + "/minio/health/live"
        wait_for(lambda: self._answers(health), f"{backend} at {endpoint}", 60)
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_SECRET,
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="conformance")
        self.url = "s3://conformance/esker"
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
        }

    def _answers(self, health: str) -> bool:
        self._server.require_alive()
        try:
            with urllib.request.urlopen(health, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        self._server.kill()


def open_bucket(backend: str, directory: Path) -> Bucket:
    """A fresh, empty bucket."""
    return FileBucket(directory) if backend == "file" else S3Bucket(backend, directory)


def _program(name: str) -> str:
    candidates = [shutil.which(name), str(Path.home() / "go" / "bin" / name)]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    pytest.skip(f"{name} is not installed")
