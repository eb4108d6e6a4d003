"""Language models and text encoders that the rest talks to: remote, local, replayed."""

from __future__ import annotations

from loreweave.language.base import Answer, LanguageModel, LanguageModelError, Request, TextEncoder

__all__ = ["Answer", "LanguageModel", "LanguageModelError", "Request", "TextEncoder"]
