"""DVC's remotes: what one clone pushes another one pulls, by way of a folder and of an S3-compatible server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = {"models/seed-1/weights.bin": b"\0" * 5000, "models/seed-1/config.json": b"{}", "data/rows.parquet": b"rows"}


@pytest.fixture
def folder_url(tmp_path: Path) -> str:
    return str(tmp_path / "remote")


@pytest.fixture
def s3_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server on loopback."""
    boto3 = pytest.importorskip("boto3", reason="moto is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="studies")
    yield "s3://studies/polya"
    server.stop()


def dvc(folder: Path, *arguments: str) -> None:
    """A command of DVC's, in this process: starting one takes seconds."""
    from dvc.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(list(arguments)) == 0, arguments


@pytest.mark.parametrize("kind", ["folder_url", "s3_url"])
def test_a_clone_pulls_what_another_one_pushed(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git")
    url = request.getfixturevalue(kind)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    subprocess.run([git, "init", "-q", str(ours)], check=True)
    (ours / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", ours / ".dvc")
    shutil.copy(ROOT / ".gitignore", ours)
    copies = " && ".join(f"mkdir -p {Path(name).parent} && cp made/{Path(name).name} {name}" for name in FILES)
    stage = {"cmd": copies, "deps": ["made"], "outs": ["models", "data/rows.parquet"]}
    (ours / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    (ours / "made").mkdir()
    for name, content in FILES.items():
        (ours / "made" / Path(name).name).write_bytes(content)
    dvc(ours, "repro", "-q")
    dvc(ours, "remote", "add", "-q", "-d", "store", url)
    dvc(ours, "push", "-q")
    subprocess.run([git, "-C", str(ours), "add", "-A"], check=True)
    commit = ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "a run"]
    subprocess.run([git, "-C", str(ours), *commit], check=True)
    subprocess.run([git, "clone", "-q", str(ours), str(theirs)], check=True)
    assert not any((theirs / name).exists() for name in FILES)
    dvc(theirs, "pull", "-q")
    assert {name: (theirs / name).read_bytes() for name in FILES} == FILES
    lock = (theirs / "dvc.lock").read_text()
    dvc(theirs, "repro", "-q")  # there is nothing to do
    assert (theirs / "dvc.lock").read_text() == lock
