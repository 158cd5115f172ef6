"""Trains the byte-level BPE tokenizer on the base corpus and saves it in the Hugging Face layout."""

import json
import re
from itertools import islice

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from corpus.documents import documents
from settings import BOS, CHAT_TOKENS, EOS, MODEL, PAD, SEED_CORPUS

VOCABULARY = 2048
SAMPLE_DOCUMENTS = 40_000
# Words take their leading space; every digit stands alone, so numbers are copied digit by digit.
SPLIT = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>\n{{ message['content'] }}<|end|>\n"
    "{% else %}<|user|>\n{{ message['content'] }}<|end|>\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[EOS, PAD, BOS, *CHAT_TOKENS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    markers = re.compile("|".join(map(re.escape, CHAT_TOKENS)))
    sample = (markers.sub("", text) for text in islice(documents(SEED_CORPUS), SAMPLE_DOCUMENTS))
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def main() -> None:
    MODEL.mkdir(parents=True, exist_ok=True)
    tokenizer = train()
    tokenizer.save(str(MODEL / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024, "add_bos_token": False,
        "add_eos_token": False, "clean_up_tokenization_spaces": False,
        "bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "chat_template": CHAT_TEMPLATE,
    }
    (MODEL / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    for text in ("Order KX-48213: 2 x blue kettle.", "naïve 日本語 🙂\n\t<ok>"):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
