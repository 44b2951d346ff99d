"""A GPT-2 of any shape, trained by Hugging Face's `Trainer` for `runner sweep`: see docs/programs.md.

usage: train.py [--count] CONFIG     the JSON file of one run, or of a model to count. Needs: pip install torch transformers accelerate
"""

import json
import os
import sys

import numpy
import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from runner_callback import RunnerCallback, say


class Sequences(Dataset):
    """Tokens of a corpus, cut into sequences."""

    def __init__(self, path, context, most=None):
        self.tokens, self.context = numpy.memmap(path, numpy.uint16, "r"), context
        count = len(self.tokens) // context
        self.count = min(count, most or count)

    def __len__(self):
        return self.count

    def __getitem__(self, at):
        ids = torch.from_numpy(self.tokens[at * self.context : (at + 1) * self.context].astype(numpy.int64))
        return {"input_ids": ids, "labels": ids}


def gpt2(config, context, vocab):
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab, n_positions=context, n_layer=config["n_layer"], n_embd=config["n_embd"], n_head=config["n_head"],
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )


def count(told):
    """The counts of a model, as train.count.command asks for them."""
    model, context = gpt2(told["config"], told["context"], told["vocab"]), told["context"]
    params = sum(weight.numel() for weight in model.parameters())
    positions = model.transformer.wpe.weight.numel()
    tied = model.transformer.wte.weight.numel()
    # Of each block also the attended products, 12 times layers, width and context, halved by the causal mask.
    attended = 6 * told["config"]["n_layer"] * told["config"]["n_embd"] * (context + 1)
    say(
        params=params,
        params_non_embedding=params - positions - tied,
        params_blocks_and_unembedding=params - positions,
        flops_per_token=6 * (params - positions) + attended,
    )


def main():
    told = json.load(open(sys.argv[-1]))
    if "--count" in sys.argv:
        return count(told)
    run, resolved = told, told["resolved"]
    context, vocab = resolved["shape"]["context"], resolved["shape"]["vocab"]
    # `Trainer` sets it again, but the model is made before.
    set_seed(run["seed"])
    torch.set_num_threads(run["threads"])
    arguments = TrainingArguments(
        output_dir=run["folder"],
        max_steps=run["steps"],
        per_device_train_batch_size=run["tokens_per_step"] // context,
        learning_rate=run["config"]["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=run["steps"] // 10,
        seed=run["seed"],
        logging_steps=max(1, run["steps"] // 50),
        logging_nan_inf_filter=False,
        save_steps=max(1, run["steps"] // 4),
        save_total_limit=1,
        disable_tqdm=True,
        report_to=[],
        use_cpu=run["device"] == "cpu",
    )
    callback = RunnerCallback(run)
    splits = {split: os.path.join(run["corpus"], f"{split}.u16") for split in ("train", "validation")}
    trainer = Trainer(
        model=gpt2(run["config"], context, vocab),
        args=arguments,
        train_dataset=Sequences(splits["train"], context),
        eval_dataset=Sequences(splits["validation"], context, most=256),
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(run["folder"]))
    if callback.stopped:
        sys.exit(75)
    say(val_loss=trainer.evaluate()["eval_loss"])


main()
