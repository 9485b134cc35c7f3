"""What a model sees of a row: the names and vocabularies that training and prediction share. Stored in `model.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FeatureSchema:
    """`vocabularies[i]` lists the known values of `categorical[i]`: the value at place p has index p + 1, all others index 0."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    vocabularies: tuple[tuple[str, ...], ...]

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> FeatureSchema:
        """From a training set's manifest, or from `document()`."""
        features = manifest["categorical"]
        return cls(
            tuple(manifest["numeric"]),
            tuple(feature["name"] for feature in features),
            tuple(tuple(feature["vocabulary"]) for feature in features),
        )

    @property
    def vocabulary_sizes(self) -> tuple[int, ...]:
        return tuple(len(vocabulary) for vocabulary in self.vocabularies)

    def document(self) -> dict[str, Any]:
        pairs = zip(self.categorical, self.vocabularies, strict=True)
        return {
            "numeric": list(self.numeric),
            "categorical": [{"name": name, "vocabulary": list(vocabulary)} for name, vocabulary in pairs],
        }
