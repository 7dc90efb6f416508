"""From what a row says to what the model reads: chats, system prompts, chat templates, tokens."""

import unicodedata
from hashlib import blake2b
from typing import Any

from prorl_api.spec_model import ChatTemplate, DataSet

from prorl_trainer.data.files import is_unicode

Message = dict[str, str]
PromptLike = str | list[Message]
"""A text that is continued as it is, or a chat (list of {role, content})."""


def to_prompt(dataset: DataSet, value: Any) -> PromptLike:
    """The prompt of a row with the set's system prompt. Raises ValueError saying what is wrong."""
    if not _is_prompt(value):
        raise ValueError(
            "must be a non-empty text or a list of objects with `role` and `content`, of which one "
            "is not empty"
        )
    if not is_unicode(prompt_text(value)):
        raise ValueError("must be Unicode, without half of a surrogate pair")
    chat = [{"role": "user", "content": value}] if isinstance(value, str) else _messages(value)
    if chat[-1]["role"] == "assistant":
        raise ValueError("must not end with a message of the assistant: the model writes the next")
    if dataset.chat_template is ChatTemplate.NONE:
        if not isinstance(value, str):
            raise ValueError("must be a text, because chatTemplate is None")
        return value
    if not dataset.system_prompt:
        return chat
    if any(message["role"] == "system" for message in chat):
        raise ValueError("must have no system message, because the set has a systemPrompt")
    return [{"role": "system", "content": dataset.system_prompt}, *chat]


def _messages(value: list[Any]) -> list[Message]:
    """Without what else a message may carry, such as null fields of a parquet file."""
    return [{"role": m["role"], "content": m["content"]} for m in value]


def _is_prompt(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict)
            and isinstance(m.get("role"), str)
            and isinstance(m.get("content"), str)
            for m in value
        )
        and any(m["content"].strip() for m in value)
    )


def encode(tokenizer: Any, prompt: PromptLike) -> tuple[int, ...]:
    """Token ids of the prompt. Raises ValueError for a chat that needs a template which is not
    there, and what the template raises (jinja2.TemplateError)."""
    if isinstance(prompt, str):
        return tuple(tokenizer.encode(prompt))
    if getattr(tokenizer, "chat_template", None):
        text = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        return tuple(tokenizer.encode(text, add_special_tokens=False))
    if [message["role"] for message in prompt] != ["user"]:
        roles = ", ".join(message["role"] for message in prompt)
        raise ValueError(
            f"is a chat ({roles}), and the model's tokenizer has no chat template; only a single "
            "message of a user can do without"
        )
    return tuple(tokenizer.encode(prompt[0]["content"]))


def prompt_text(prompt: PromptLike) -> str:
    """The prompt as one text; what its sender wrote, without a chat template."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(message["content"] for message in prompt)


def prompt_key(prompt: PromptLike) -> str:
    """32 hex digits that tell one task from another: what the user says, in Unicode's composed form
    and with single spaces. Case and every other sign count."""
    if not isinstance(prompt, str):
        prompt = "\n".join(m["content"] for m in prompt if m["role"] != "system")
    text = " ".join(unicodedata.normalize("NFC", prompt).split())
    return blake2b(text.encode(), digest_size=16).hexdigest()
