"""The plan of a comparison: which models, arms and seeds, which tests are named before the run, and that all of it can be made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import loreweave
from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError
from loreweave.evaluate.metrics import LARGEST_K, parse_metric
from loreweave.evaluate.sampled import LARGEST_COUNT
from loreweave.evaluate.summary import Claim
from loreweave.files import FORMAT_VERSION
from loreweave.knowledge.templates import TEXTS
from loreweave.models import create

FOLDERS = ("cells", "tuning", "checkpoints", "negatives", "results.json", "report.html", "manifest.json")
"""Of a comparison, beside the folders of its models."""
CONTROLS = ("none", "shuffled", "template")
"""What stands in for real knowledge: nothing; the same records about other users or items; a template's texts for those that somebody
wrote."""


@dataclass
class Plan:
    """What was asked for.

    Attributes:
        names: name of a row → registered model.
        settings: by name, what is fixed.
        noise: arm → rate.
        controls: by name, arms beside `real` that are run, of `CONTROLS`.
        negatives: how many random items held-out ones are ranked among as well, 0 for full ranking alone.
        kinds: by name, the kinds of record that the model is given; none where it is knowledge-blind or there are none of its kinds. Set by
            `check` and `keep_to`.
        written: kinds of text that somebody wrote, so that a template's are something else. Set by `keep_to`.
    """

    names: dict[str, str]
    settings: dict[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    noise: dict[str, float]
    metric: str
    tune: bool
    permutations: int
    filters: dict[str, Any]
    out: Path
    controls: dict[str, tuple[str, ...]]
    negatives: int = 0
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    written: Collection[str] = TEXTS

    def check(self, claims: Sequence[tuple[str, str, str]], ks: Sequence[int]) -> list[Claim]:
        """See that everything can be made before hours are spent, and name the family of tests.

        Raises:
            ConfigError: what was asked for cannot be.
            MissingExtra: a model needs an extra that is not installed.
        """
        if not self.names or not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("a comparison needs at least one model, and at least one seed, each once")
        for name, controls in self.controls.items():
            if not set(controls) <= set(CONTROLS) or len(set(controls)) < len(controls):
                raise ConfigError(f"controls are {', '.join(CONTROLS)}, each at most once, got {list(controls)} for {name}")
            if self.permutations and "shuffled" in controls and "none" not in controls:
                raise ConfigError("permutations are measured against the arm none; leave it among the controls")
        if not ks or min(ks) < 1 or max(ks) > LARGEST_K or self.permutations < 0 or self.permutations == 1:
            raise ConfigError("ks are whole numbers from 1 to a million; permutations 0, or at least 2 (one draw is no evidence)")
        if not 0 <= self.negatives <= LARGEST_COUNT:
            raise ConfigError(f"negatives are a whole number from 0 (full ranking alone) to {LARGEST_COUNT:,}, got {self.negatives}")
        if stray := (set(self.settings) | set(self.controls)) - set(self.names):
            raise ConfigError(f"settings or controls for {min(stray)!r}, which is not compared; there are: {', '.join(self.names)}")
        for name in self.names:
            if "seed" in self.settings.get(name, {}) and len(self.seeds) > 1:
                raise ConfigError(
                    f"{name}.seed: a comparison over several seeds sets it itself; leave it out, or give one seed (--seeds 7,)"
                )
            if name in FOLDERS or name.strip(". ") != name or "/" in name or "\\" in name:
                raise ConfigError(f"{name!r} cannot be the name of a folder beside {', '.join(FOLDERS)}; choose another")
        self.kinds = {name: create(model, self.fixed(name, self.seeds[0])).knowledge_kinds for name, model in self.names.items()}
        family = [Claim((name, "real"), (name, other), self.metric) for name in self.knowing for other in self._controls(name)]
        for better, worse, metric in claims:
            family.append(Claim(self._side(better), self._side(worse), metric))
        for name in (self.metric, *(claim.metric for claim in family)):
            parse_metric(name)
        return family

    @property
    def knowing(self) -> list[str]:
        """Names whose model is given knowledge."""
        return [name for name in self.names if self.kinds[name]]

    def keep_to(self, held: Collection[str], written: Collection[str], family: Sequence[Claim]) -> tuple[list[Claim], list[str]]:
        """Run a model once, as `none`, where the knowledge holds no record of its kinds; and no arm that is `real` over again.

        Args:
            held: kinds of record that there are.
            written: those of them that hold texts which no template made.
            family: the tests that were named.

        Returns:
            The tests whose sides are still run, and warnings that say which model found none of its kinds.
        """
        self.written = written
        read = {name: set(self.kinds[name]) & set(held) & set(TEXTS) for name in self.knowing if "template" in self.controls[name]}
        doubled = [name for name, texts in read.items() if texts and not texts & set(written)]
        silent = [name for name in self.knowing if not set(self.kinds[name]) & set(held)]
        warnings = []
        if doubled:
            warnings.append(f"the arm template was left out for {', '.join(doubled)}: the texts that are read are a template's already")
        told = "; ".join(f"{name} learns from {' and '.join(self.kinds[name])}" for name in silent)
        self.kinds |= dict.fromkeys(silent, ())
        kept = [claim for claim in family if all(arm in self.arms(name) for name, arm in (claim.better, claim.worse))]
        lost = f"{len(family) - len(kept)} tests that need it were left out"
        if silent and not held:
            warnings.append(f"there is no knowledge here: every model ran without, and {lost}")
        elif silent:
            held_here = ", ".join(sorted(held))
            warnings.append(f"{told}, of which the knowledge holds none (it holds {held_here}): run without, and {lost}")
        return kept, warnings

    def _side(self, text: str) -> tuple[str, str]:
        name, _, arm = text.rpartition(" ")
        if name not in self.names or arm not in self.arms(name):
            arms = ", ".join(f"{each} {arm}" for each in self.names for arm in self.arms(each))
            raise ConfigError(f"claim about {text!r}: not part of this comparison; there are: {arms}")
        return name, arm

    def arms(self, name: str) -> list[str]:
        """The arms of a row's model, `real` first: the others keep its settings."""
        return ["real", *self._controls(name), *self.noise] if self.kinds[name] else ["none"]

    def _controls(self, name: str) -> list[str]:
        """Those that there are: a template's texts stand in for written ones alone."""
        return [each for each in self.controls[name] if each != "template" or set(self.kinds[name]) & set(self.written)]

    def fixed(self, name: str, seed: int) -> dict[str, Any]:
        """The caller's settings, and the run's seed where the model has one."""
        given = dict(self.settings.get(name, {}))
        fields = type(create(self.names[name], given).config).model_fields
        return {"seed": seed, **given} if "seed" in fields else given

    def manifest(self, dataset: Dataset, *, finished: bool) -> dict[str, Any]:
        """Of the comparison's folder."""
        return {
            "format": FORMAT_VERSION,
            "loreweave": loreweave.__version__,
            "kind": "comparison",
            "models": self.names,
            "seeds": list(self.seeds),
            "data_fingerprint": dataset.fingerprint,
            "finished": finished,
        }
