"""The refine stage: any causal LM with a chat template writes one paragraph; caption.py makes it a caption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import jinja2
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from animatic.caption import Again, Caption, Limits, accept, consider
from animatic.models.base import Family, Made, Parts, Work, Works

Message = dict[str, str]


class Chat(Family):
    """Llama, GLM-4, Qwen and others: nothing here depends on which, and no code from a repository is run."""

    classes: ClassVar = {"tokenizer": AutoTokenizer, "llm": AutoModelForCausalLM}

    def module_class(self, part: str) -> Any | None:
        # An auto class is no module's class itself.
        return self.classes[part] if part == "llm" else None

    def generate(self, parts: Parts, works: Works) -> Iterator[Made]:
        """Write each shot's paragraph: at most two attempts, then what `caption.consider` makes of them."""
        model, tokenizer = self.part(parts, "llm"), self.part(parts, "tokenizer")
        for work in works:
            limits = _limits(work, parts["video.tokenizer"])
            # Seeded per shot, and the process's own generators are left as they were.
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(work.phase.recipe["seed"])
                yield _caption_made(work, self._converse(model, tokenizer, work, limits))

    def given(self, parts: Parts, works: Works) -> Iterator[Made]:
        """A caption by the user's hand: no model, only the video model's token limit."""
        for work in works:
            text = work.phase.shot.caption or ""
            yield _caption_made(work, accept(text, _limits(work, parts["video.tokenizer"])))

    def _converse(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Work, limits: Limits
    ) -> Caption:
        messages = [
            {"role": "system", "content": work.phase.recipe["system_prompt"]},
            {"role": "user", "content": work.phase.shot.prompt},
        ]
        attempts: list[str] = []
        while True:
            attempts.append(reply(model, tokenizer, messages, sampling(work)))
            outcome = consider(attempts, work.phase.shot.prompt, limits)
            if isinstance(outcome, Caption):
                return outcome
            messages += again(attempts[-1], outcome)


def sampling(work: Work) -> dict[str, Any]:
    """`generate`'s arguments. Temperature 0 is greedy decoding."""
    warm = work.option("refine.temperature") > 0
    chosen = {"temperature": work.option("refine.temperature"), "top_p": work.option("refine.top_p"), "top_k": 0}
    greedy = {"temperature": None, "top_p": None, "top_k": None}
    return {"max_new_tokens": work.option("refine.max_new_tokens"), "do_sample": warm, **(chosen if warm else greedy)}


def reply(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], arguments: dict[str, Any]
) -> str:
    """The model's answer to a conversation, without the special tokens."""
    inputs = _encode(tokenizer, messages).to(model.device)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    with torch.no_grad():
        tokens = model.generate(**inputs, pad_token_id=pad, **arguments)
    return str(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def again(attempt: str, outcome: Again) -> list[Message]:
    return [{"role": "assistant", "content": attempt}, {"role": "user", "content": outcome.message}]


def _encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> Any:
    """The templated conversation as tensors. Templates that know no system role get it within the first user turn."""

    def apply(turns: Sequence[Message]) -> Any:
        # Templates of reasoning models know `enable_thinking`; the others ignore it.
        return tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=True, enable_thinking=False, return_dict=True, return_tensors="pt"
        )

    try:
        return apply(messages)
    except jinja2.TemplateError:
        system, first, *rest = messages
        return apply([{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest])


def _limits(work: Work, tokenizer: PreTrainedTokenizerBase) -> Limits:
    count: Callable[[str], int] = lambda text: len(tokenizer(text).input_ids)  # noqa: E731
    return Limits(words=work.option("refine.words"), tokens=work.phase.recipe["tokens"], count_tokens=count)


def _caption_made(work: Work, caption: Caption) -> Made:
    data = json.dumps(caption.as_dict(), ensure_ascii=False, indent=1).encode()
    return Made(work, data, ".json", identity=caption.text.encode())
