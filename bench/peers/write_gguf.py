"""Writes a base model (Q4_0, Q8_0 or F16) of Llama's family in one file and LoRA adapters (f16) as llama.cpp reads them.

    python write_gguf.py model q4_0|q8_0|f16 MODEL_DIR OUT.gguf
    python write_gguf.py adapter MODEL_DIR ADAPTER_DIR OUT.gguf
"""

import json
import os
import struct
import sys

import gguf
import numpy as np
from gguf.quants import quantize

FORMATS = {
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def read_json(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


def tensors(path):
    """Yields name and f32 values of every tensor of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            values = (data[start:end].view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = data[start:end].view({"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32)
        yield name, values.reshape(entry["shape"])


def gguf_name(module):
    """`model.layers.3.mlp.up_proj` -> `blk.3.ffn_up`"""
    if module in OTHER_NAMES:
        return OTHER_NAMES[module]
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[rest]}"


def reorder(module, values, config):
    """llama.cpp rotates neighbouring channels, transformers the two halves of a head: rows of q and k are interleaved."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}.get(module.rsplit(".", 1)[-1])
    if heads is None:
        return values
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_model(format_name, model_dir, out):
    block_type, file_type = FORMATS[format_name]
    config = read_json(model_dir, "config.json")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(file_type)
    tokenizer = read_json(model_dir, "tokenizer.json")
    names = {i: token for token, i in tokenizer["model"]["vocab"].items()}
    names |= {added["id"]: added["content"] for added in tokenizer["added_tokens"]}
    tokens = [names.get(i, f"[unused {i}]") for i in range(config["vocab_size"])]
    special = {added["id"] for added in tokenizer["added_tokens"] if added["special"]}
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_token_merges(merges or ["Ġ w"])  # llama.cpp wants at least one
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    for tensor, values in tensors(os.path.join(model_dir, "model.safetensors")):
        module = tensor.removesuffix(".weight")
        target = f"{gguf_name(module)}.weight"
        if values.ndim == 1:
            writer.add_tensor(target, values.copy())
        else:
            rows = np.ascontiguousarray(reorder(module, values, config))
            if values.shape[1] % 32:
                raise SystemExit(f"{tensor} has rows of {values.shape[1]}, and blocks take 32")
            writer.add_tensor(target, quantize(rows, block_type), raw_dtype=block_type)
    finish(writer)


def write_adapter(model_dir, adapter_dir, out):
    config = read_json(model_dir, "config.json")
    lora = read_json(adapter_dir, "adapter_config.json")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(lora["lora_alpha"]))
    for name, values in tensors(os.path.join(adapter_dir, "adapter_model.safetensors")):
        module, side, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
        if side == "lora_B":
            values = reorder(module, values, config)
        writer.add_tensor(f"{gguf_name(module)}.weight.{side.lower()}", np.ascontiguousarray(values, np.float16))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    _, what, *paths = sys.argv
    partial = paths[-1] + ".partial"
    {"model": write_model, "adapter": write_adapter}[what](*paths[:-1], partial)
    os.replace(partial, paths[-1])
