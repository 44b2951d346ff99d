#!/usr/bin/env python3
"""Reads what `runner export` wrote with the packages that it was written for, and compares every number.

Usage: check-export.py jsonl|parquet TABLE.csv FILE       every cell of the table comes back
       check-export.py tensorboard RESULTS FOLDER         curves, results and hyper-parameters, as TensorBoard serves them
       check-export.py tensorboard-writer RESULTS FOLDER  writes the runs by TensorBoard's own writer, with hparams.yaml beside
       check-export.py back RESULTS IMPORTED              an import of what was exported has the same runs
       check-export.py mlflow RESULTS FOLDER STORE        after import.py: runs as MLflow's client finds them
       check-export.py wandb RESULTS FOLDER               after import.py with WANDB_MODE=offline: what is in its files
       check-export.py transformers MODEL CHECKPOINT RUN.json [CORPUS RESULT.json]
           logits against a model written down here once more in NumPy, from the checkpoint alone; with a folder of the
           cache and a result also the validation loss
"""
import csv
import glob
import json
import math
import struct
import sys
import time


def table(path):
    """Rows of a CSV with numbers as numbers and empty cells as None."""
    def value(text):
        if text == "":
            return None
        try:
            return float(text)
        except ValueError:
            return text
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: value(text) if key != "id" else text for key, text in row.items()} for row in csv.DictReader(file)]


def same(expected, found, place):
    if isinstance(expected, float) and isinstance(found, (int, float)):
        assert expected == found, f"{place}: {found!r} instead of {expected!r}"
    elif isinstance(found, (int, float)) and isinstance(expected, str):
        assert expected == str(found), f"{place}: {found!r} instead of {expected!r}"
    elif isinstance(expected, float):
        assert found is not None and float(found) == expected, f"{place}: {found!r} instead of {expected!r}"
    else:
        assert expected == found, f"{place}: {found!r} instead of {expected!r}"


def compare(expected, found):
    assert len(expected) == len(found) > 0, f"{len(found)} rows instead of {len(expected)}"
    for at, (a, b) in enumerate(zip(expected, found)):
        assert list(a) == list(b), "columns differ"
        for key in a:
            same(a[key], b[key], f"row {at}, {key}")
    print(f"{len(found)} rows of {len(found[0])} columns are the same")


def jsonl(source, path):
    compare(table(source), [json.loads(line) for line in open(path, encoding="utf-8")])


def parquet(source, path):
    import pyarrow.parquet
    read = pyarrow.parquet.read_table(path)
    compare(table(source), read.to_pylist())
    print("types:", ", ".join(sorted({str(kind) for kind in read.schema.types})))


def tensorboard(results, folder):
    import urllib.parse
    import urllib.request
    from tensorboard import program
    server = program.TensorBoard()
    server.configure(argv=[None, "--logdir", folder, "--port", "0", "--load_fast=false"])
    url = server.launch() + "data/plugin/"
    def get(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    runs, curves = table(f"{results}/runs.csv"), table(f"{results}/curves.csv")
    for _ in range(60):  # it reads the folder in the background
        tags = get("scalars/tags")
        if all("seconds" in tags.get(row["id"], {}) for row in runs if row["seconds"] is not None):
            break
        time.sleep(1)
    points = 0
    for row in runs:
        def scalars(tag):
            query = urllib.parse.urlencode({"run": row["id"], "tag": tag})
            return [(step, value) for _, step, value in get(f"scalars/scalars?{query}")]
        for tag in ("train_loss", "learning_rate"):
            expected = [(p["step"], p[tag]) for p in curves if p["id"] == row["id"] and p[tag] is not None]
            there = scalars(tag) if tag in tags[row["id"]] else []
            assert len(expected) == len(there), f"{row['id']}: {len(there)} points of {tag} instead of {len(expected)}"
            for (step, value), (at, read) in zip(expected, there):
                assert step == at and abs(value - read) <= 1e-6 * abs(value)
                points += 1
        if row["val_loss"] is not None:
            assert abs(scalars("val_loss")[-1][1] - row["val_loss"]) < 1e-6 * row["val_loss"]
    experiment = get("hparams/experiment", {"experimentName": ""})
    columns = [{"hparam": info["name"], "includeInResult": True} for info in experiment["hparamInfos"]]
    columns += [{"metric": info["name"]} for info in experiment["metricInfos"]]
    groups = get("hparams/session_groups", {
        "experimentName": "", "colParams": columns, "startIndex": 0, "sliceSize": 10**6,
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]})["sessionGroups"]
    assert len(groups) == len(runs), f"{len(groups)} sessions instead of {len(runs)}"
    by_name = {group["name"]: group for group in groups}
    for row in runs:
        group = by_name[row["id"]]
        for key in ("width", "depth", "seed", "learning_rate", "parameterization"):
            there = group["hparams"][key]
            assert there == row[key], f"{row['id']}, {key}: {there} instead of {row[key]}"
        metrics = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert row["val_loss"] is None or abs(metrics["val_loss"] - row["val_loss"]) < 1e-6 * row["val_loss"]
        assert group["sessions"][0]["status"] == {"finished": "STATUS_SUCCESS"}.get(row["status"], "STATUS_FAILURE")
    infos = len(experiment["hparamInfos"]), len(experiment["metricInfos"])
    print(f"{len(runs)} runs, {points} points of curves, {infos[0]} hyper-parameters and {infos[1]} results are the same")


def tensorboard_writer(results, folder):
    from tensorboard.summary import Writer
    for row in table(f"{results}/runs.csv"):
        run = f"{folder}/{row['id']}"
        writer = Writer(run)
        for step in (1, row["steps"]):
            writer.add_scalar("val_loss", row["val_loss"] + row["steps"] - step, int(step))
        writer.close()
        with open(f"{run}/hparams.yaml", "w", encoding="utf-8") as file:
            for name in ("params", "tokens", "flops"):
                file.write(f"{name}: {int(row[name])}\n")


def back(results, imported):
    there, again = table(f"{results}/runs.csv"), table(f"{imported}/runs.csv")
    for name in ("params", "tokens", "flops", "val_loss"):
        expected, read = sorted(row[name] for row in there), sorted(row[name] for row in again)
        assert len(expected) == len(read), f"{len(read)} runs instead of {len(expected)}"
        assert all(abs(a - b) <= 1e-6 * abs(a) for a, b in zip(expected, read)), f"{name}: {expected} {read}"
    print(f"{len(again)} runs come back")


def mlflow(results, folder, store):
    import mlflow as package
    lines = [json.loads(line) for line in open(f"{folder}/runs.jsonl", encoding="utf-8")]
    client = package.MlflowClient(store)
    experiment = client.get_experiment_by_name([e.name for e in client.search_experiments() if e.name != "Default"][0])
    found = {run.data.tags["runner.run"]: run for run in client.search_runs([experiment.experiment_id], max_results=50000)}
    assert len(found) == len(lines) == len(table(f"{results}/runs.csv"))
    points = 0
    for row in table(f"{results}/runs.csv"):
        run = found[row["id"]]
        for key in ("width", "depth", "seed"):
            assert float(run.data.params[key]) == row[key]
        if row["val_loss"] is not None:
            assert run.data.metrics["val_loss"] == row["val_loss"]
        history = client.get_metric_history(run.info.run_id, "train_loss")
        expected = [(p["step"], p["train_loss"]) for p in table(f"{results}/curves.csv")
                    if p["id"] == row["id"] and p["train_loss"] is not None]
        if expected:
            assert sorted((m.step, m.value) for m in history) == sorted(expected)
        points += len(expected)
    print(f"{len(found)} runs with {points} points of curves are in MLflow")


def records(path):
    """Records of a file of W&B: LevelDB's log format after a header of seven bytes."""
    data, at, whole = open(path, "rb").read(), 7, b""
    assert data[:4] == b":W&B", f"{path} begins with {data[:7]!r}"
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        if kind == 0:
            break
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def wandb(results, folder):
    from wandb.proto import wandb_internal_pb2
    runs = {row["id"]: row for row in table(f"{results}/runs.csv")}
    curves = table(f"{results}/curves.csv")
    seen = 0
    for path in glob.glob(f"{folder}/wandb/offline-run-*/run-*.wandb"):
        history, summary, row = [], {}, None
        for data in records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json)
                     for item in (record.history.item if kind == "history" else record.summary.update)}
            if kind == "run" and record.run.run_id:
                row = runs[record.run.run_id]
                config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
                assert not config or config["width"] == row["width"]
            elif kind == "history":
                history.append(items)
            elif kind == "summary":
                summary.update(items)
        expected = [(p["step"], p["train_loss"]) for p in curves if p["id"] == row["id"] and p["train_loss"] is not None]
        there = [(point["_step"], point["train_loss"]) for point in history if "train_loss" in point]
        assert there == expected, f"{row['id']}: {len(there)} points instead of {len(expected)}"
        assert row["val_loss"] is None or summary["val_loss"] == row["val_loss"], summary
        seen += 1
    assert seen == len(runs), f"{seen} runs instead of {len(runs)}"
    print(f"{seen} runs are in W&B's offline files")


def reference(checkpoint, planned):
    """The model of src/model/forward.rs in NumPy and float64, from the weights as they were trained."""
    import numpy as np
    with open(checkpoint, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        data = file.read()
    def weight(name):
        info = header[f"model.{name}"]
        begin, end = info["data_offsets"]
        return np.frombuffer(data[begin:end], "<f4").reshape(info["shape"]).astype(np.float64)
    run = planned["run"]
    shape, kind = run["shape"], run["parameterization"]
    d, heads, depth = shape["width"], shape["heads"], shape["depth"]
    size = d // heads
    standard = kind == "standard"
    logits_multiplier = 1.0 if standard else run["base_width"] / d
    branch_multiplier = run["base_depth"] / depth if kind == "completep" else 1.0
    scale = math.sqrt(size if standard else run["base_head_dim"]) / size
    erf = np.vectorize(math.erf)
    parts = shape.get("parts", {})
    mlp, shared, qk_norm = parts.get("mlp", "gelu"), parts.get("kv_sharing", 1), parts.get("qk_norm", False)
    kv = d // shared
    def gelu(x):
        return x * 0.5 * (1 + erf(x / math.sqrt(2)))
    def through(hidden):
        if mlp == "gelu":
            return gelu(hidden)
        gate, up = np.split(hidden, 2, -1)
        return up * {"swiglu": lambda x: x / (1 + np.exp(-x)), "geglu": gelu, "bilinear": lambda x: x}[mlp](gate)
    def dense(x, part, name=""):
        return through(x @ part(f"{name}mlp_in")) @ part(f"{name}mlp_out")
    def experts(x, part):
        count, active = parts["experts"]["count"], parts["experts"]["active"]
        scores = x @ part("router") * logits_multiplier
        likely = np.exp(scores - scores.max(-1, keepdims=True))
        likely[likely < np.sort(likely, -1)[:, count - active, None]] = 0
        likely /= likely.sum(-1, keepdims=True)
        return sum(likely[:, i, None] * dense(x, part, f"experts.{i}.") for i in range(count))
    def norm(x, gain):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gain
    def forward(ids):
        n = len(ids)
        angle = np.arange(n)[:, None] * 10000.0 ** (-np.arange(size // 2) / (size // 2))
        cos, sin = np.cos(angle), np.sin(angle)
        def turn(x):
            a, b = x[..., : size // 2], x[..., size // 2 :]
            return np.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
        x = weight("embedding")[ids]
        for block in range(depth):
            part = lambda name: weight(f"blocks.{block}.{name}")
            qkv = norm(x, part("norm_attention")) @ part("qkv")
            q, k, v = (x.reshape(n, -1, size).transpose(1, 0, 2) for x in np.split(qkv, [d, d + kv], -1))
            if qk_norm:
                q, k = norm(q, part("norm_query")), norm(k, part("norm_key"))
            k, v = np.repeat(k, shared, 0), np.repeat(v, shared, 0)
            scores = turn(q) @ turn(k).transpose(0, 2, 1) * scale
            scores[:, ~np.tri(n, dtype=bool)] = -np.inf
            share = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (share / share.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, d)
            x = x + mixed @ part("attention_out") * branch_multiplier
            branch = experts if parts.get("experts") else dense
            x = x + branch(norm(x, part("norm_mlp")), part) * branch_multiplier
        return norm(x, weight("norm")) @ weight("unembedding") * logits_multiplier
    return forward


def transformers(model, checkpoint, planned, corpus=None, result=None):
    import numpy as np
    import torch
    import transformers as package
    planned = json.load(open(planned, encoding="utf-8"))
    loaded, info = package.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, output_loading_info=True)
    loaded.eval()
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    shape = planned["run"]["shape"]
    context, vocab = shape["context"], shape["vocab"]
    forward = reference(checkpoint, planned)
    worst, generator = 0.0, np.random.default_rng(1)
    for _ in range(4):
        ids = generator.integers(0, vocab, context)
        with torch.no_grad():
            found = loaded(torch.tensor(ids[None])).logits[0].double().numpy()
        worst = max(worst, np.abs(found - forward(ids)).max())
    spread = found.std()
    print(f"{type(loaded).__name__}: largest difference of a logit {worst:.1e} (their standard deviation is {spread:.2f})")
    assert worst < 1e-4
    if corpus is None:
        return
    tokens = np.fromfile(f"{corpus}/validation.u16", "<u2").astype(np.int64)
    windows = (len(tokens) - 1) // context
    count = min(-(-planned["run"]["eval"]["tokens"] // context), windows)
    losses = []
    for first in range(0, count, 64):
        rows = [tokens[i * windows // count * context :][: context + 1] for i in range(first, min(first + 64, count))]
        rows = torch.tensor(np.stack(rows))
        with torch.no_grad():
            logits = loaded(rows[:, :-1]).logits
        losses.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none"))
    loss = torch.cat(losses).double().mean().item()
    expected = json.load(open(result, encoding="utf-8"))["val_loss"]
    print(f"validation loss {loss:.7f}, that of the run {expected:.7f}")
    assert abs(loss - expected) < 1e-4
    tokenizer = package.AutoTokenizer.from_pretrained(model)
    sample = tokens[: 20 * context].tolist()
    end = loaded.config.eos_token_id
    document = sample[: sample.index(end)]
    text = tokenizer.decode(document)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == document, "the tokenizer encodes otherwise"
    print(f"its tokenizer gives the {len(document)} tokens of a document back")


if __name__ == "__main__":
    each = (jsonl, parquet, tensorboard, tensorboard_writer, back, mlflow, wandb, transformers)
    checks = {f.__name__.replace("_", "-"): f for f in each}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    checks[sys.argv[1]](*sys.argv[2:])
