"""A SLURM cluster for tests: the real daemons, all on this machine, everything they write in one folder.

Its nodes are slurmd processes that claim to be machines, and their GPUs are copies of /dev/null: SLURM hands
them out and sets CUDA_VISIBLE_DEVICES, and nothing can be computed on them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

NODES, CPUS, MEMORY_MB, GPUS = 2, 8, 8000, 2
PROGRAMS = ("slurmctld", "slurmd", "munged", "munge", "srun", "setpriv")
#: what people, and Snakemake's executor, call
COMMANDS = ("sacct", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("freezer", "memory", "cpuacct")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=3
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,batch_sched_delay=0,sched_interval=2
AccountingStorageType=accounting_storage/none
JobAcctGatherFrequency=task=1
MinJobAge=7200
KillWait=8
GresTypes=gpu
{tracking}
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes=ALL MaxTime=INFINITE
"""
#: processes are found and held to their memory by the kernel; where it does not let us, by looking
TRACKING = {
    True: "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/cgroup",
    False: "ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/linux\n"
    "JobAcctGatherParams=OverMemoryKill",
}
CGROUP_CONFIGURATION = """\
CgroupPlugin=cgroup/v1
CgroupAutomount=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
"""


def why_not() -> str:
    """Why there can be no such cluster on this machine; empty if there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)}: make test-slurm installs it on Debian, for root"
    return "" if os.geteuid() == 0 else "SLURM's daemons run jobs for their users, and that takes root"


def wait_until(done: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Look every 0.1 s whether it is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


class Cluster:
    """Two nodes with two GPUs each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # of this cluster's own, since slurmd names the kernel's groups of processes after its node
        self.nodes = [f"test{os.getpid()}-{number}" for number in range(NODES)]
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def ask(self, *command: str) -> str:
        """What a command prints that must succeed."""
        options = {"capture_output": True, "text": True, "timeout": 60, "env": self.environment}
        done = subprocess.run(command, **options)  # type: ignore[call-overload]
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()

    def jobs(self, form: str = "%i", state: str = "all") -> list[str]:
        """A line for every job that the controller remembers, in one of squeue's formats."""
        return self.ask("squeue", "--noheader", "--states", state, "--format", form).splitlines()

    def start(self) -> None:
        """Start everything; returns when all nodes take jobs."""
        self._write()
        socket_file = self.folder / "munge.socket"
        files = {"key-file": "munge.key", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        options = [f"--{name}={self.folder / path}" for name, path in files.items()]
        self._daemon("munged", "--foreground", "--force", f"--socket={socket_file}", *options)
        wait_until(socket_file.exists, "munged")
        self._daemon("slurmctld", "-D")
        for name in self.nodes:
            self._daemon("slurmd", "-D", "-N", name)
        ready = ["sinfo", "--noheader", "--Node", "--partition", "cpu", "--states", "idle", "--format", "%T"]

        def idle() -> bool:
            done = subprocess.run(ready, capture_output=True, text=True, timeout=60, env=self.environment)
            return done.stdout.split() == ["idle"] * NODES

        wait_until(idle, f"{NODES} nodes; logs are in {self.folder}")

    def stop(self) -> None:
        """Cancel all jobs, stop all daemons."""
        running = "running,pending,completing"
        if self.jobs(state=running):
            self.ask("scancel", *self.jobs(state=running))
            wait_until(lambda: not self.jobs(state=running), "the jobs to end")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(30)
        for controller in CONTROLLERS:  # slurmd leaves them behind
            for top in (CGROUPS / controller / f"slurm_{name}" for name in self.nodes):
                for path in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
                    path.rmdir()
                if top.exists():
                    top.rmdir()

    def _daemon(self, name: str, *arguments: str) -> None:
        """A daemon that dies with this process; its output is a file of its name."""
        number = len(self.daemons)
        with (self.folder / f"{name}-{number}.log").open("wb") as log:
            command = ["setpriv", "--pdeathsig", "TERM", name, *arguments]
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.daemons.append(
                subprocess.Popen(command, env=self.environment, start_new_session=True, **streams)
            )

    def _write(self) -> None:
        for name in ("bin", "state", "spool"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        for number in range(GPUS):  # SLURM insists on character devices
            os.mknod(self.folder / f"gpu{number}", 0o020666, os.makedev(1, 3))
        # A job's environment loses SLURM_CONF on its way through Snakemake's executor; on other clusters the
        # file lies where the commands look for it by themselves.
        for name in COMMANDS:
            script = self.folder / "bin" / name
            script.write_text(
                f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(name)} "$@"\n'
            )
            script.chmod(0o755)
        controller, *ports = _free_ports(1 + NODES)
        host = socket.gethostname().split(".")[0]
        claims = f"CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:fake:{GPUS}"
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {claims}"
            for name, port in zip(self.nodes, ports, strict=True)
        ]
        kernel = all(os.access(CGROUPS / name / "tasks", os.W_OK) for name in CONTROLLERS)
        if kernel:
            (self.folder / "cgroup.conf").write_text(CGROUP_CONFIGURATION)
        text = CONFIGURATION.format(
            host=host,
            controller=controller,
            folder=self.folder,
            tracking=TRACKING[kernel],
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text(
            f"NodeName={','.join(self.nodes)} Name=gpu Type=fake File={self.folder}/gpu[0-{GPUS - 1}]\n"
        )


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
