"""Loads exported folders as a stranger would: ``python -I plain_loader.py JOBS.json``, with transformers and peft alone.

A job is {"kind": "causal" or "score", "model": folder, "adapter": folder or null, "tokenizer", "dtype", "rows": [[id, …], …],
"out": file}; what the model says of each row goes into the file. Rows are read one by one; "batch": all at once,
padded by the tokenizer that came along.
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer


@torch.no_grad()
def do(job):
    """One folder."""
    score = job["kind"] == "score"
    kind = AutoModelForSequenceClassification if score else AutoModelForCausalLM
    only = {"num_labels": 1} if score and job["adapter"] else {}
    model = kind.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"]), **only)
    if only:  # as the card says
        model.config.pad_token_id = AutoTokenizer.from_pretrained(job["tokenizer"]).pad_token_id
    if job["adapter"]:
        model = PeftModel.from_pretrained(model, job["adapter"])
    model.eval()
    if job.get("batch"):
        tokenizer = AutoTokenizer.from_pretrained(job["model"])
        padded = tokenizer.pad({"input_ids": job["rows"]}, return_tensors="pt")
        found = dict(enumerate(model(**padded).logits))
    else:
        found = dict(enumerate(model(torch.tensor([row])).logits[0] for row in job["rows"]))
    save_file({str(n): logits.float().contiguous() for n, logits in found.items()}, job["out"])


for job in json.loads(Path(sys.argv[1]).read_text()):
    do(job)
assert not [name for name in sys.modules if name.startswith("rlhf_lab")], "a stranger has no rlhf_lab"
