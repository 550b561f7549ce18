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


def this_crate():
    """Builds the crate. Returns functions that start it without and with its finite check."""
    build = ["cargo", "bench", "--quiet", "--bench", "peer", "--no-run", "--message-format=json"]
    output = subprocess.run(build, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, output.splitlines())
    program = [path for message in messages if (path := message.get("executable"))][-1]

    def start(rule):
        return lambda job: Program(program, job.precision, rule, job.length, job.count)

    return {"this crate": start("propagate"), "this crate, default": start("default")}


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
