"""An endless job: does resident memory grow, are descriptors left open?"""

import os
import signal
import subprocess
import time

MOST_SLOPE = 1.0  # MiB an hour
WARM_UP = 0.2     # of the time


def sample(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return time.monotonic(), resident / 1024, len(os.listdir("/proc/%d/fd" % pid))


def slope(points):
    """Least squares, MiB an hour."""
    times, values = [p[0] for p in points], [p[1] for p in points]
    center, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - center) ** 2 for t in times)
    return 3600 * sum((t - center) * (v - mean) for t, v in zip(times, values)) / spread


def run(job, options):
    command = job.compute("--checkpoint", "F.ckpt", "--checkpoint-every", "2s", "--threads", str(options.threads),
                          synthetic=10**12)
    process = subprocess.Popen(command, cwd=job.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    begin, points = time.monotonic(), []
    while process.poll() is None and time.monotonic() - begin < 60 * options.minutes:
        time.sleep(1)
        points.append(sample(process.pid))
    stopping = time.monotonic()
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[1].decode()
    stopped = time.monotonic() - stopping
    points = points[int(WARM_UP * len(points)):]
    findings, growth = [], slope(points)
    # Files open for a moment, as while a checkpoint is written, are no leak: the fewest must not grow.
    quarter = max(1, len(points) // 4)
    fewest = [min(point[2] for point in part) for part in (points[:quarter], points[-quarter:])]
    if process.returncode != 143 or stopped > 2:
        findings.append("exit code %d after %.1f s: %s" % (process.returncode, stopped, text))
    if growth > MOST_SLOPE:
        findings.append("resident memory grows")
    if fewest[1] > fewest[0]:
        findings.append("descriptors are left open")
    if job.temporary_files():
        findings.append("temporary files are left")
    return "%.0f minutes, %.1f MiB resident, slope %.3f MiB/h, %d descriptors at first, %d at last, stopped after %.2f s (%s)" % (
        options.minutes, points[-1][1], growth, *fewest, stopped, text.strip()), findings
