"""Systems that are separate programs: this crate and a C loop. They measure their own time, see
benches/peer.rs."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


class Program:
    def __init__(self, *command):
        self.child = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sum = None

    def time(self, steps):
        """Takes the given number of steps and returns the time in nanoseconds."""
        self.child.stdin.write(f"{steps}\n")
        self.child.stdin.flush()
        nanoseconds, total = self.child.stdout.readline().split()
        self.sum = float(total)
        return int(nanoseconds)

    def total(self):
        return self.sum

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def build():
    """Builds the crate, and returns the path of the program."""
    command = ["cargo", "bench", "--quiet", "--bench", "peer", "--no-run", "--message-format=json"]
    output = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, output.splitlines())
    return [path for message in messages if (path := message.get("executable"))][-1]


def this_crate():
    """Returns functions that start this crate without and with its finite check."""
    program = build()

    def start(rule):
        return lambda job: Program(program, job.precision, rule, job.length, job.count)

    return {"this crate": start("propagate"), "this crate, default": start("default")}


def rows_of_this_crate():
    """Returns a function that starts this crate with a table of which it steps some rows."""
    program = build()

    def start(job):
        return Program(program, job.precision, "default", job.length, job.count, job.rows)

    return {"this crate": start}


def c_loop():
    """Compiles the C loop if a compiler is installed."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return {}
    folder = Path(tempfile.mkdtemp(prefix="adamax-peers-"))
    for precision, real in [("f64", "double"), ("f32", "float")]:
        options = ["-O3", "-march=native", f"-DREAL={real}", HERE / "fused.c", "-lm"]
        subprocess.run([compiler, *options, "-o", folder / precision], check=True)
    return {"C, fused": lambda job: Program(folder / job.precision, job.length, job.count)}
