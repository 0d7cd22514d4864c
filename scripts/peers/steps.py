"""What an EWC penalty adds to a training step: PyTorch's autograd beside our fused optimiser step."""

import numpy as np

from peers import agreement, client, data, methods
from peers.passes import Disagreement

STEPS = {"step-none": "PyTorch SGD step", "step-ewc": "PyTorch SGD step with an autograd penalty"}


def write_penalty(tool, case, cpus):
    """An anchor a little off the weights, and the Fisher diagonal there; returns both files."""
    from safetensors.numpy import save_file
    anchor, fisher = case.folder / "anchor.safetensors", case.folder / "fisher.safetensors"
    random = np.random.default_rng(1)
    tensors = dict(zip(case.names, data.read_tensors(case.weights, case.names)))
    save_file({name: (tensor + 0.01 * random.standard_normal(tensor.shape)).astype(np.float32)
               for name, tensor in tensors.items()}, str(anchor))
    tool.compute(case.arch, case.weights, case.check, "exact", cpus, fisher)
    return anchor, fisher


def check_penalty(tool, case, worker, anchor, fisher):
    """Error of the penalty's gradient by autograd against ours."""
    ours, theirs = case.folder / "gradient.safetensors", case.folder / "gradient.npy"
    tool.penalty_gradient(case.weights, anchor, fisher, methods.STEP_LAMBDA, ours)
    worker.ask("penalty_gradient", out=str(theirs))
    verdict = agreement.deterministic(np.load(theirs), data.flat(data.read_tensors(ours, case.names)),
                                      methods.FLOAT_TOLERANCE)
    if not verdict.agrees:
        raise Disagreement(f"the penalty's gradient by autograd on {case.model} does not agree with fisherdiag: "
                           f"{verdict.detail}")
    return verdict


def compare(tool, case, cpus, settings, log):
    """One record: seconds per step without and with the penalty, PyTorch's and ours, in interleaved rounds."""
    anchor, fisher = write_penalty(tool, case, cpus)
    workers = {name: client.Worker(case.folder / f"{name}.log", cpus) for name in STEPS}
    record = {"model": case.model, "threads": len(cpus), "batch": methods.STEP_BATCH, "torch_none": [], "torch_ewc": [],
              "ours_none": [], "ours_ewc": [], "problem": ""}
    try:
        counts = {}
        for name, worker in workers.items():
            worker.send("start", spec={
                "module": "step", "method": name, "weights": str(case.weights), "names": case.names,
                "x": str(case.pool[0]), "y": str(case.pool[1]), "anchor": str(anchor), "fisher": str(fisher),
                "threads": len(cpus)})
        for worker in workers.values():
            worker.receive()
        verdict = check_penalty(tool, case, workers["step-ewc"], anchor, fisher)
        log(f"  penalty's gradient: {verdict.detail}")
        record["error"] = verdict.error
        if settings.rounds:
            for name, worker in workers.items():
                counts[name] = max(int(settings.seconds * worker.ask("tune", batches=[1])["rate"]), 1)
                worker.ask("prepare", samples=methods.STEP_BATCH, batch=counts[name])
        for number in range(settings.rounds):
            for name in list(STEPS)[::1 if number % 2 == 0 else -1]:
                record[name.replace("step-", "torch_")].append(workers[name].ask("run")["seconds"] / counts[name])
            for kind, seconds in zip(("ours_none", "ours_ewc"), tool.steps(case.model, cpus)):
                record[kind].append(seconds)
    except client.PeerError as error:
        record["problem"] = str(error)
        log(f"  PyTorch's training step did not run: {error}")
    finally:
        for worker in workers.values():
            worker.close()
        for path in (anchor, fisher, case.folder / "gradient.safetensors", case.folder / "gradient.npy"):
            path.unlink(missing_ok=True)
    return record
