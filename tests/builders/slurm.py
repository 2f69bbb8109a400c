"""A real Slurm cluster of one node within this machine, for tests: Debian's slurm-wlm and munge, started and ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("sbatch", "slurmctld", "slurmd", "munged", "runuser")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=60 State=UP
"""


def missing() -> str:
    """Return why no cluster can be started here, or ``""``."""
    lacking = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if lacking:
        return f"{', '.join(lacking)} not installed"
    return "" if os.geteuid() == 0 else "the daemons of Slurm need root"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for place in sockets:
        place.bind(("127.0.0.1", 0))
    ports = [place.getsockname()[1] for place in sockets]
    for place in sockets:
        place.close()
    return ports


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons and yield the variables that let Slurm's commands find them; end every daemon."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    cores = len(os.sched_getaffinity(0))
    conf.write_text(CONF.format(host=host, ports=_free_ports(2), folder=folder, cores=cores))
    variables = {"SLURM_CONF": str(conf)}
    environment = {**os.environ, **variables, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    key = folder / "munge" / "munge.key"
    key.write_bytes(os.urandom(128))
    for path in (folder, *folder.parents):
        if path.stat().st_uid == 0 and path != Path("/") and path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    shutil.chown(folder / "munge", "munge", "munge")
    shutil.chown(key, "munge", "munge")
    key.chmod(0o400)
    (folder / "munge").chmod(0o755)
    place = folder / "munge"
    commands = [
        ["runuser", "-u", "munge", "--", "munged", "-F", f"--key-file={key}", f"--socket={place}/munge.socket",
         f"--pid-file={place}/munged.pid", f"--log-file={place}/munged.log", f"--seed-file={place}/munged.seed", "-f"],
        ["slurmctld", "-D", "-i"],
        ["slurmd", "-D", "-N", host],
    ]  # fmt: skip
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            log = (folder / f"{command[0]}.out").open("wb")
            daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
            time.sleep(1.0)
        _wait_for_node(environment, folder)
        yield variables
    finally:
        for daemon in reversed(daemons):
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(daemon.pid, number)
                    daemon.wait(10)
                    break
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue


def _wait_for_node(environment: dict[str, str], folder: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    answer = ""
    while time.monotonic() < end:
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
        answer = done.stdout + done.stderr
        if "idle" in done.stdout:
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-800:] for path in sorted(folder.glob("slurm*.log")))
    raise RuntimeError(f"the node of the test cluster is not idle: {answer}\n{logs}")
