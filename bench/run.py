#!/usr/bin/env python3
"""Runs our workloads beside the peers', interleaved round by round, and prints tables of medians.

  bench/run.py --build BUILD [--rounds 7] [--only REGEX] [--no-durable] [--out FILE.md]

Erlang comes from the distribution (erlc, erl). CAF is compiled when CAF_PREFIX names its install tree. A peer that is not
there has an empty column, and its rows are not judged. Every case has a time limit; traffic stays on 127.0.0.1.

Beside the peers, our rows have targets of their own; where one is missed the table says so, and so does the last line.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASE_SECONDS_MAX = 40
DURABLE_SECONDS_MAX = 180

# workload, size, threads, the reported figures in it
CASES = [
    ("W1", 1_000_000, (1, 2)),
    ("W2", 2_000_000, (1, 2)),
    ("W3", 2_000_000, (1, 2)),
    ("W4", 1_000_000, (1, 2)),
    ("W4b", 1_000_000, (1, 2)),
    ("W5", 1_000_000, (1, 2)),
    ("W6", 20_000, (1, 2)),
    ("W7", 300_000, (1, 2)),
    ("W9", 10_000, (1, 2)),
    ("W10", 1_000_000, (2,)),
]
OURS_ONLY = [
    ("W1x", 200_000, (2,)),
    ("W10m", 10_000_000, (2,)),
    ("W11", 20_000, (1, 2)),
    ("fair", 20_000, (1,)),
    ("timers", 1_000_000, (1,)),
]
SMALLER_IS_BETTER = ("ns/rt", "ns/hop", "ns/timer", "B/actor", "B/timer", "B", "us")
# What each figure must reach, on one thread and on two.
TARGETS = {
    ("W1", "s1"): 50, ("W1", "s2"): 50, ("W1", "s2_crosscore"): 1000,
    ("W2", "s1"): 18e6, ("W2", "s2"): 12e6,
    ("W3", "s1"): 15e6, ("W3", "s2"): 10e6,
    ("W4", "s1"): 3e6, ("W4", "s2"): 3e6, ("W4mem", "s1"): 320, ("W4mem", "s2"): 320,
    ("W5", "s1"): 25, ("W5", "s2"): 25,
    ("W6", "s1"): 30e6, ("W6", "s2"): 20e6,
    ("W7seq", "s1"): 10e6, ("W7seq", "s2"): 8e6, ("W7c64", "s1"): 12e6, ("W7c64", "s2"): 8e6,
    ("W9", "s1_one_for_one_throw"): 350e3, ("W9", "s2_one_for_one_throw"): 350e3,
    ("W9", "s1_one_for_one_exit"): 2e6, ("W9", "s2_one_for_one_exit"): 2e6,
    ("W10", "s2"): 256, ("W10m", "s2"): 256, ("W10m", "s2_rss"): 4e9,
}
TWO_THREADS_MIN = 0.9  # of one
TWO_THREADS_MIN_OF_W11 = 1.7


def command(program, arguments, seconds=CASE_SECONDS_MAX):
    """Output of a case; what hangs is killed and counts as no result."""
    try:
        done = subprocess.run(program + [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "TIMEOUT"
    return done.stdout


def results(output):
    pattern = r"^RESULT peer=(\S+) workload=(\S+) variant=(\S+) value=(\S+) unit=(\S+)"
    return re.findall(pattern, output, re.M)


def build_erlang(folder):
    if not (shutil.which("erlc") and shutil.which("erl")):
        print("erlang: not installed (tools/setup installs it): its column stays empty", file=sys.stderr)
        return None
    subprocess.run(["erlc", "-o", folder, os.path.join(HERE, "peers/erlang/bench.erl")], check=True)

    def program(threads):
        return ["erl", "-noshell", "+S", f"{threads}:{threads}", "+P", "4000000", "-pa", folder, "-run", "bench", "main"]

    return lambda workload, threads, size: command(program(threads), [workload, size])


def build_caf(folder):
    prefix = os.environ.get("CAF_PREFIX")
    if not prefix:
        print("caf: CAF_PREFIX is not set: its column stays empty", file=sys.stderr)
        return None
    binary = os.path.join(folder, "bench_caf")
    library = os.path.join(prefix, "lib")
    subprocess.run(["clang++-19", "-std=c++20", "-O3", "-DNDEBUG", "-pthread", f"-I{prefix}/include",
                    os.path.join(HERE, "peers/caf/bench_caf.cpp"), "-o", binary, f"-L{library}", f"-Wl,-rpath,{library}",
                    "-lcaf_io", "-lcaf_core"], check=True)
    return lambda workload, threads, size: command([binary], [workload, threads, size])


def figure(value):
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:,.2f} M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def actor_table(medians, peers):
    lines = ["| figure | threads | unit | plex | target | " + " | ".join(peers) + " | ahead of |",
             "|---|---|---|---:|---:|" + "---:|" * len(peers) + "---|"]
    behind, missed = [], []
    for (workload, variant, unit), ours in sorted(medians["plex"].items(), key=lambda item: order(item[0])):
        row, ahead = [], []
        target = TARGETS.get((workload, variant))
        wanted = ""
        if target is not None:
            reached = ours <= target if unit in SMALLER_IS_BETTER else ours >= target
            wanted = figure(target) if reached else f"**{figure(target)}**"
            if not reached:
                missed.append(f"{workload} {variant}: {figure(ours)} {unit}, wanted {figure(target)}")
        for peer in peers:
            theirs = medians[peer].get((workload, variant, unit))
            row.append(figure(theirs))
            if theirs is None:
                continue
            ratio = theirs / ours if unit in SMALLER_IS_BETTER else ours / theirs
            if ratio < 1:
                behind.append(f"{workload} {variant}: {ratio:.2f} x {peer}")
            ahead.append(f"{peer} {ratio:.1f} x" if ratio >= 1 else f"**behind {peer}: {ratio:.2f} x**")
        lines.append(f"| {workload} | {variant} | {unit} | {figure(ours)} | {wanted} | " + " | ".join(row)
                     + f" | {', '.join(ahead)} |")
    return lines, behind, missed


def threads_table(ours):
    """Two threads over one, in the direction in which more is better."""
    lines = ["| figure | two threads over one |", "|---|---:|"]
    missed = []
    for (workload, variant, unit), one in sorted(ours.items(), key=lambda item: order(item[0])):
        two = ours.get((workload, re.sub(r"^s1", "s2", variant), unit))
        if not variant.startswith("s1") or not two or unit.startswith("B"):
            continue
        ratio = one / two if unit in SMALLER_IS_BETTER else two / one
        least = TWO_THREADS_MIN_OF_W11 if workload == "W11" else TWO_THREADS_MIN
        lines.append(f"| {workload}{variant[2:]} | {ratio:.2f} |")
        if ratio < least:
            missed.append(f"{workload}{variant[2:]}: two threads {ratio:.2f} x one, wanted {least}")
    return lines, missed


def order(key):
    workload = key[0]
    return [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", workload)], key[1]


def durable_table(figures):
    lines = ["| | rate | p50 us | p99 us | p50 / raw |", "|---|---:|---:|---:|---:|"]
    raw = figures.get(("disk", "group1_p50"))
    for peer, name, text in [("disk", "group1", "append 256 B + fdatasync"), ("disk", "group1024", "the same, 1,024 at a time"),
                             ("plex", "actors1", "durable turns, 1 actor"), ("plex", "actors64", "64 actors"),
                             ("plex", "actors1024", "1,024 actors")]:
        rate, p50, p99 = (figures.get((peer, f"{name}_{what}")) for what in ("rate", "p50", "p99"))
        ratio = f"{p50 / raw:.2f}" if p50 and raw else ""
        lines.append(f"| {text} | {figure(rate)} | {figure(p50)} | {figure(p99)} | {ratio} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "../build/release"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-durable", action="store_true")
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    ours = os.path.join(options.build, "bench/plex_bench")

    with tempfile.TemporaryDirectory() as folder:
        runners = {"plex": lambda workload, threads, size: command([ours], [workload, threads, size])}
        for name, build in (("erlang", build_erlang), ("caf", build_caf)):
            runner = build(folder)
            if runner:
                runners[name] = runner
        values = {name: {} for name in ("plex", "erlang", "caf")}
        for round_number in range(options.rounds):
            for workload, size, threads in CASES + OURS_ONLY:
                for thread_count in threads:
                    if not re.search(options.only, workload):
                        continue
                    for name, runner in runners.items():
                        if name != "plex" and (workload, size, threads) in OURS_ONLY:
                            continue
                        output = runner(workload, thread_count, size)
                        found = results(output)
                        if not found:
                            print(f"no result: {name} {workload} {thread_count}: {output[-200:]}", file=sys.stderr)
                        for _, figure_name, variant, value, unit in found:
                            values[name].setdefault((figure_name, variant, unit), []).append(float(value))
            print(f"round {round_number + 1} of {options.rounds}", file=sys.stderr)
        medians = {name: {key: statistics.median(v) for key, v in by_key.items()} for name, by_key in values.items()}
        text = []
        text.append(f"Medians of {options.rounds} interleaved rounds, {os.cpu_count()} cores. Our options: "
                    + command([ours], ["options"]).strip() + ".\n")
        table, behind, missed = actor_table(medians, ["erlang", "caf"])
        text += table
        table, missed_by_two = threads_table(medians["plex"])
        text += [""] + table
        if not options.no_durable:
            output = command([os.path.join(options.build, "bench/durable_bench")], [folder], DURABLE_SECONDS_MAX)
            found = {(peer, variant): float(value) for peer, _, variant, value, _ in results(output)}
            if not found:
                sys.exit("durable_bench gave no result: " + output[-300:])
            text += ["", "Durable turns, and the disk in the same run (medians of 5):", ""] + durable_table(found)
        text.append("\nBehind a peer: " + (", ".join(behind) if behind else "nowhere") + ".")
        text.append("\nBehind a target: " + ("; ".join(missed + missed_by_two) or "nowhere") + ".")
        report = "\n".join(text)
        print(report)
        if options.out:
            with open(options.out, "w", encoding="utf-8") as out:
                out.write(report + "\n")


if __name__ == "__main__":
    main()
