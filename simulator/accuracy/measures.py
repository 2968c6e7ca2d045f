"""What a model of each kind is scored by."""

from typing import Any

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.choices import Choices
from densimeter.simulator.accuracy.job import At, Job
from densimeter.simulator.accuracy.masked_token import MaskedToken
from densimeter.simulator.accuracy.measure import Ids, Measure
from densimeter.simulator.accuracy.next_token import NextToken
from densimeter.simulator.accuracy.sentence_vectors import SentenceVectors, read_pooling, split_sentences
from densimeter.simulator.accuracy.windows import cut_windows, special_tokens, token_ids


def measures(job: Job, model: Any, tokenizer: Any, at: At) -> tuple[Measure, ...]:
    """The measures of a configuration; ConfigError where the text is too short or the model's context is."""
    config = job.config
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and config.context_tokens > positions:
        with at(("context_tokens",)):
            raise ConfigError(f"{config.context_tokens}, expected at most the {positions} positions of the model")
    if job.files.kind == "embedding":
        return (_sentence_vectors(job, model, tokenizer, at),)
    ids = token_ids(job.text, tokenizer)
    if job.files.kind == "masked":
        return (_masked_token(job, model, tokenizer, ids, at),)
    with at(("tokens",)):
        windows = cut_windows(ids, 0, config.tokens, config.context_tokens)
    predicting = NextToken(model, windows)
    if not job.questions:
        return (predicting,)
    with at(("choices",)):
        return predicting, Choices(model, job.questions, tokenizer)


def _masked_token(job: Job, model: Any, tokenizer: Any, ids: Ids, at: At) -> Measure:
    with at(("model",)):
        if tokenizer.mask_token_id is None:
            raise ConfigError(f"{job.files.name}: its tokenizer has no mask token, expected one in a masked model")
    around = before, after = special_tokens(tokenizer)
    with at(("context_tokens",)):
        room = job.config.context_tokens - len(before) - len(after)
        if room < 2:
            raise ConfigError(f"{job.config.context_tokens}, expected room for two tokens between the special ones")
    with at(("tokens",)):
        windows = cut_windows(ids, 0, job.config.tokens, room)
    return MaskedToken(model, windows, tokenizer.mask_token_id, around)


def _sentence_vectors(job: Job, model: Any, tokenizer: Any, at: At) -> Measure:
    with at(("model",)):
        pooling = read_pooling(job.files.folder)
    sentences: list[Ids] = []
    left = job.config.tokens
    for sentence in split_sentences(job.text):
        ids: Ids = tokenizer(sentence, truncation=True, max_length=job.config.context_tokens)["input_ids"]
        left -= len(ids)
        if left < 0:
            break
        sentences.append(ids)
    if len(sentences) < 3:
        with at(("tokens",)):
            raise ConfigError(f"{job.config.tokens}, expected enough for three sentences of the text")
    return SentenceVectors(model, sentences, pooling)
