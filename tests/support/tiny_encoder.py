"""Small encoders with random weights and one token a character, saved as transformers does."""

import string
from pathlib import Path
from typing import Literal

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_tiny_encoder(folder: Path, kind: Literal["BertModel", "BertForMaskedLM"]) -> None:
    """Write config.json, weights and tokenizer; the same on every call."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(0)
    characters = {character: i for i, character in enumerate((*SPECIAL, *sorted(string.printable)))}
    config = transformers.BertConfig(
        vocab_size=len(characters),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(characters, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    around = [(name, characters[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=around)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        pad_token="[PAD]",
    ).save_pretrained(folder)
