"""The Slurm executor on a real cluster of one node, where Slurm is installed; its script and bad input everywhere."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from bench.config import RunConfig, validate
from bench.core.errors import BadSetting
from bench.executors import slurm
from bench.executors.contract.job import Job
from bench.executors.slurm import EXECUTOR, SlurmSettings, script
from tests.builders.pool import leases, run_pool, stored, write_folder
from tests.builders.slurm import cluster, missing

pytestmark = pytest.mark.xdist_group("slurm")
REASON = missing()


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    if REASON:
        pytest.skip(REASON)
    with cluster(tmp_path_factory.mktemp("cluster") / "slurm") as variables_of_cluster:
        yield variables_of_cluster


@pytest.fixture
def ready(variables, tmp_path, monkeypatch):
    """The working folder of a sweep, with the cluster's variables."""
    write_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm, "LOOK", 1.0)
    return tmp_path


def placed(**more) -> dict:
    return {"executor": "slurm", "placement": {"slurm": {"workers": 2, "cpus": 1, **more}}}


@pytest.mark.slow
def test_an_array_of_workers_makes_the_records_of_one_process(ready):
    done, text = run_pool(ready, **placed(time="10m"))
    assert not done.failed and not done.unfinished, text
    made_by_slurm = stored(ready / "results")
    assert len(made_by_slurm) == 12 and leases(ready / "results") == []
    alone, text = run_pool(ready, results=ready / "alone")
    assert not alone.failed, text
    assert made_by_slurm == stored(ready / "alone")
    assert subprocess.run(["squeue", "-h", "-t", "PD,R"], capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_is_queued_again(ready, monkeypatch):
    """The signal before the end of a job's time: what is done is stored, and the job goes on in the queue."""
    monkeypatch.setenv("PAUSE", "0.3")
    signalled = threading.Event()

    def tell() -> None:
        while not list((ready / "results").rglob("records/*.json")):
            time.sleep(0.1)
        number = subprocess.run(["squeue", "-h", "-o", "%A"], capture_output=True, text=True).stdout.split()[0]
        subprocess.run(["scancel", "--signal=USR1", "--batch", number], check=False)
        signalled.set()

    teller = threading.Thread(target=tell)
    teller.start()
    done, text = run_pool(ready, **placed(workers=1))
    teller.join()
    logs = "\n".join(path.read_text() for path in (ready / "results").rglob("worker-*.log"))
    assert signalled.is_set() and "stopped; what is done is stored" in logs
    assert not done.failed and not done.unfinished, f"{text}\n{logs}"
    assert len(stored(ready / "results")) == 12


@pytest.mark.slow
def test_what_the_cluster_lacks_is_refused_at_once(ready):
    with pytest.raises(BadSetting, match=r"slurm.partition=gpu: no such partition; there are test"):
        run_pool(ready, **placed(partition="gpu"))
    with pytest.raises(BadSetting, match=r"sbatch refuses the jobs|the cluster cannot start these jobs"):
        run_pool(ready, **placed(cpus=512))
    assert subprocess.run(["squeue", "-h", "-t", "PD,R"], capture_output=True, text=True, check=True).stdout == ""


def test_the_script_states_what_was_asked_for(tmp_path):
    settings = SlurmSettings(
        workers=16, partition="gpu", gpus=1, time="4h", memory="32G", options=("--qos=long",), setup=("module load x",)
    )
    job = Job(folder=tmp_path, config=RunConfig(suite="demo"), workers=16, begun=0.0)
    text = script(job, settings)
    for line in (
        "--array=0-15",
        "--partition=gpu",
        "--gpus-per-task=1",
        "--time=0-04:00:00",
        "--mem=32G",
        "--qos=long",
    ):
        assert f"#SBATCH {line}\n" in text
    assert "module load x\n" in text and "--requeue" in text and f"bench.cli.worker {tmp_path} -1" in text
    checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"time": "soon"}, "a time reads 30m"),
        ({"partition": "a b; rm"}, "letters, digits"),
        ({"options": ("-x",)}, "no option of sbatch"),
        ({"memory": "much"}, "memory"),
        ({"workers": 0}, "workers"),
        ({"gpus": 9}, "gpus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, text):
    with pytest.raises(BadSetting, match=text):
        validate(SlurmSettings, given)


def test_a_machine_without_slurm_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadSetting, match="sbatch is not on this machine"):
        EXECUTOR.check(SlurmSettings())


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, tmp_path):
    for name in ("sbatch", "sinfo"):
        path = Path(tmp_path, name)
        path.write_text("#!/bin/sh\necho 'cannot reach the controller' >&2\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BadSetting, match=r"does not answer .*cannot reach the controller"):
        EXECUTOR.check(SlurmSettings())
