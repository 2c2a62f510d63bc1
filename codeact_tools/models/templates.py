"""Chat templates as data, for servers and tokenizers that bring none, or the wrong one.

    >>> TEMPLATES["chatml"].render([Message("user", "Hello")])
    '<|im_start|>user\\nHello<|im_end|>\\n<|im_start|>assistant\\n'

Sources: the model cards and tokenizer configurations of CodeActAgent and Qwen (``chatml``), Llama 2 and 3, Mistral
Instruct, and Gemma.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError
from .base import Message

__all__ = ["TEMPLATES", "Template", "find_template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a conversation becomes one text. The BOS token is left to the server, which adds one."""

    name: str
    system: str | None
    """A system message, in place of ``{content}``; None: it becomes the beginning of the first user message."""
    user: str
    assistant: str
    """A reply of an earlier turn."""
    reply: str
    """What opens the reply that is asked for."""
    end: str
    """What the model writes behind its reply."""
    control: tuple[str, ...]
    """Tokens that have a meaning; in what people and tools say they are taken apart."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt of ``messages``, up to where the reply begins."""
        turns, system = [], ""
        for message in messages:
            content = self._plain(message.content)
            if message.role == "system" and self.system is None:
                system += f"{content}\n\n"
                continue
            form = {"system": self.system or "", "user": self.user, "assistant": self.assistant}[message.role]
            if message.role == "user":
                content, system = system + content, ""
            turns.append(form.replace("{content}", content))
        if system:
            turns.append(self.user.replace("{content}", system.rstrip()))
        return "".join(turns) + self.reply

    def _plain(self, content: str) -> str:
        pattern = "|".join(re.escape(token) for token in self.control)
        return re.sub(pattern, lambda found: f"{found[0][0]} {found[0][1:]}", content)


def find_template(template: str | Template) -> Template:
    """Return the template of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if isinstance(template, Template):
        return template
    if template not in TEMPLATES:
        msg = f"no chat template is called {template!r}; there are {', '.join(TEMPLATES)}, or pass a Template"
        raise ConfigurationError(msg)
    return TEMPLATES[template]


CHATML = Template(
    name="chatml",
    system="<|im_start|>system\n{content}<|im_end|>\n",
    user="<|im_start|>user\n{content}<|im_end|>\n",
    assistant="<|im_start|>assistant\n{content}<|im_end|>\n",
    reply="<|im_start|>assistant\n",
    end="<|im_end|>",
    control=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
)

LLAMA2 = Template(
    name="llama2",
    system=None,
    user="[INST] {content} [/INST]",
    assistant=" {content} </s><s>",
    reply="",
    end="</s>",
    control=("[INST]", "[/INST]", "<s>", "</s>"),
)

LLAMA3 = Template(
    name="llama3",
    system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
    user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
    assistant="<|start_header_id|>assistant<|end_header_id|>\n\n{content}<|eot_id|>",
    reply="<|start_header_id|>assistant<|end_header_id|>\n\n",
    end="<|eot_id|>",
    control=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>"),
)

MISTRAL = Template(
    name="mistral",
    system=None,
    user="[INST] {content} [/INST]",
    assistant=" {content}</s>",
    reply="",
    end="</s>",
    control=("[INST]", "[/INST]", "<s>", "</s>"),
)

GEMMA = Template(
    name="gemma",
    system=None,
    user="<start_of_turn>user\n{content}<end_of_turn>\n",
    assistant="<start_of_turn>model\n{content}<end_of_turn>\n",
    reply="<start_of_turn>model\n",
    end="<end_of_turn>",
    control=("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"),
)

TEMPLATES: dict[str, Template] = {template.name: template for template in (CHATML, LLAMA2, LLAMA3, MISTRAL, GEMMA)}
"""All templates by name."""
