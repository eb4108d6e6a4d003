"""Prompt templates: a readable file whose first line holds its version, then what the model is told to be, then the question.

    version: 1
    # system
    You …
    # prompt
    <items>
    {{ items }}
    </items>
    …

Jinja2 in its sandbox. Whatever a template shows is escaped (`escape.py`), whether the template asks for it or not, and a name that does
not exist is an error.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loreweave.errors import ConfigError
from loreweave.knowledge.tasks.escape import Block, escaped

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

SENTENCE_WORDS = 5
"""An instruction shorter than this may well be said by chance."""
_FORM = re.compile(r"\Aversion: *(?P<version>\S+)\n\s*# system\n(?P<system>.*?)\n# prompt\n(?P<prompt>.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Attributes:
        where: for errors.
        version: as its first line says.
        system, prompt: Jinja2 source.
    """

    where: str
    version: str
    system: str
    prompt: str

    @classmethod
    def of(cls, task: type[Any]) -> Template:
        """The template of a task class: a file beside the module that defines the class, or the text itself where it has several lines.

        Raises:
            ConfigError: no such file, or not a template.
        """
        source: str = task.template
        where = f"template of task {task.name!r}"
        if "\n" not in source:
            owner = next(kind for kind in task.__mro__ if "template" in vars(kind))
            module = sys.modules[owner.__module__]
            path = Path(getattr(module, "__file__", None) or ".").parent / source
            where = f"{path}"
            try:
                source = path.read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"{path}: the prompt template cannot be read ({error.strerror})") from None
        parts = _FORM.match(source.strip().replace("\r\n", "\n"))
        if parts is None:
            raise ConfigError(f"{where}: a template starts with a line `version: 1`, then come the sections `# system` and `# prompt`")
        template = cls(where, parts["version"], parts["system"].strip(), parts["prompt"].strip())
        template._compiled  # noqa: B018 - a mistake in it shows now
        return template

    def render(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """System text and prompt with every value escaped.

        Raises:
            ConfigError: the template uses a name that is not among `fields`, or does what the sandbox forbids.
        """
        from jinja2 import TemplateError

        try:
            system, prompt = (part.render(fields) for part in self._compiled)
        except TemplateError as error:
            raise ConfigError(f"{self.where}: {error}; it may use {', '.join(sorted(fields))}") from None
        return system, prompt

    @cached_property
    def sentences(self) -> frozenset[str]:
        """Its instructions as words: what an answer must not repeat."""
        fixed = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "\n", f"{self.system}\n{self.prompt}", flags=re.DOTALL)
        said = (" ".join(words(sentence)) for sentence in re.split(r"[.:;?!]\s|\n", fixed))
        return frozenset(sentence for sentence in said if sentence.count(" ") >= SENTENCE_WORDS - 1)

    @cached_property
    def _compiled(self) -> tuple[Any, Any]:
        from jinja2 import TemplateSyntaxError

        try:
            return _environment().from_string(self.system), _environment().from_string(self.prompt)
        except TemplateSyntaxError as error:
            raise ConfigError(f"{self.where}: line {error.lineno} of its section: {error.message}") from None


def words(text: str) -> list[str]:
    """Words and numbers of a text, letter case aside.

    A word goes on over combining marks and joiners, as `\\w` of Unicode (UTS #18, annex C) has it and Python's has not: Indic scripts write
    vowels as marks, and Persian joins parts of a word.
    """
    return re.findall(r"\w\S*", text.casefold().translate(_SPACED))


class _Spaced(dict[int, int]):
    """Code points of words → themselves, all others → a space; filled as they come."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        kept = character.isalnum() or character in "_\u200c\u200d" or unicodedata.category(character).startswith("M")
        self[code] = code if kept else ord(" ")
        return self[code]


_SPACED = _Spaced()


def _shown(value: Any) -> str:
    return value if isinstance(value, Block) else escaped(str(value))


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # `finalize` sees every value on its way into the text, so that no template can forget to escape one. HTML is not what is written here.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_shown, autoescape=False, trim_blocks=True, lstrip_blocks=True)
