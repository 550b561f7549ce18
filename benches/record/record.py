"""Writes a record of one run: machine, ratios of the benches, instruction counts and peers."""

import argparse
import datetime
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ["tensor", "idle", "layouts", "sets", "parallel", "rows"]
PEERS = ["benches/peers/compare.py", "benches/peers/rows.py", "benches/peers/rand_hie.py"]
# Few and short samples, so that all benches take only a few minutes.
SAMPLING = ["--sample-size=15", "--warm-up-time=0.2", "--measurement-time=0.6", "--nresamples=2000"]
CPU = ["Architecture", "Model name", "CPU(s)", "Thread(s) per core"]
CACHES = ["L1d cache", "L2 cache", "L3 cache"]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def machine():
    lscpu = dict(line.split(":", 1) for line in output("lscpu").splitlines() if ":" in line)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {name: lscpu[name].strip() for name in CPU + CACHES if name in lscpu}
    facts |= {
        "Memory": f"{memory:.0f} GiB",
        "Kernel": platform.release(),
        "Load at the start": "{:.2f}".format(os.getloadavg()[0]),
        "Commit": output("git", "describe", "--always", "--dirty").strip(),
        "rustc": output("rustc", "--version").strip(),
    }
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in facts.items())


def benches():
    targets = [f"--bench={name}" for name in BENCHES]
    command = ["cargo", "bench", "--features=rayon", *targets, "--", *SAMPLING]
    yield f"```sh\n{' '.join(command)}\n```"
    with tempfile.TemporaryDirectory() as home:
        # A separate folder, so that results of other runs are not read.
        subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"CRITERION_HOME": home})
        groups = results(Path(home))
    for group, rows in groups.items():
        yield f"\n**{group}**\n\n| | ns | ratio | GB/s |\n|---|---:|---:|---:|"
        first = rows[0][1]
        for name, nanoseconds, size in rows:
            yield f"| {name} | {nanoseconds:,.1f} | {nanoseconds / first:.2f} | {size / nanoseconds:.1f} |"


def results(home):
    """Returns name, median and bytes of each bench by group, in the order in which they ran."""
    groups = {}
    for path in sorted(home.glob("**/new/benchmark.json"), key=lambda path: path.stat().st_mtime):
        bench = json.loads(path.read_text())
        median = json.loads(path.with_name("estimates.json").read_text())["median"]
        row = bench["function_id"], median["point_estimate"], bench["throughput"]["Bytes"]
        groups.setdefault(bench["group_id"], []).append(row)
    return groups


def instructions():
    # A count above the recorded one makes the command fail, but the record is still written.
    command = [ROOT / ".ci" / "check_instructions"]
    found = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True).stdout
    yield f"```text\n{found.strip()}\n```"


def peers(python):
    if python is None:
        yield "Not part of this record."
        return
    for script in PEERS:
        yield f"```sh\npython {script}\n```"
        yield output(python, script)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    today = datetime.date.today().isoformat()
    parser.add_argument("--python", help="a Python interpreter with the peers installed")
    parser.add_argument("--output", type=Path, default=ROOT / "benches" / "record" / f"{today}.md")
    arguments = parser.parse_args()
    parts = {
        "Machine and versions": machine(),
        "Benches": benches(),
        "Instructions": instructions(),
        "Peers": peers(arguments.python),
    }
    with arguments.output.open("w") as record:
        record.write(f"# {today}\n")
        for title, lines in parts.items():
            record.write(f"\n## {title}\n\n" + "\n".join(lines).rstrip() + "\n")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
