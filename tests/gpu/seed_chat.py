"""What a user runs: ChatGLM2 through ipex-llm on the GPU. Run inside an environment: seed_chat.py FOLDER."""

import sys
from importlib.metadata import distributions

import torch
from ipex_llm import optimize_model
from transformers import AutoModel, AutoTokenizer

SHOWN = ("intel-extension-for-pytorch", "ipex-llm", "torch", "transformers")

folder = sys.argv[1]
versions = sorted(f"{item.name} {item.version}" for item in distributions() if item.name in SHOWN)
sys.stderr.write("\n".join([*versions, ""]))
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
model = optimize_model(model, low_bit="sym_int8").half().to("xpu")
prompt = torch.tensor([tokenizer("The capital of")["input_ids"]]).to("xpu")
logits = model(prompt).logits
sys.stdout.write(f"logits on {logits.device}, shape {tuple(logits.shape)}\n")
