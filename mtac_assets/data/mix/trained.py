"""The trained tokeniser as a stored thing: `tokenizers/<first 12 of key>/tokenizer.json` and its manifest.

Its key is over the code, the content and filters of the sources that it is trained on, the split, and what the recipe asks of it;
so a change of ratios trains none anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.mix.documents import TRAIN, read_documents
from mtac_assets.data.mix.folder import MANIFEST, TOKENIZER
from mtac_assets.data.mix.selection import Selection
from mtac_assets.data.mix.tokenizer import TextTokenizer, open_tokenizer, save, train
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import publish_folder, temporary_path, write_json

if TYPE_CHECKING:
    from mtac_assets.spec.language import LanguageRecipe
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
KEY_DIGITS = 12


def tokenizer_folder(project: Project, key: str) -> Path:
    return project.state.tokenizers / key[:KEY_DIGITS]


def ensure(
    project: Project, recipe: LanguageRecipe, selections: Mapping[str, Selection], key: str, data_dir: Path
) -> TextTokenizer:
    """The tokeniser with this key, trained now where it was not. Raises MixError where the texts are too few or it is damaged."""
    folder = tokenizer_folder(project, key)
    manifest = read_object(folder / MANIFEST)
    if manifest is not None and manifest.get("schema_version") == SCHEMA_VERSION and manifest.get("key") == key:
        return open_tokenizer(folder / TOKENIZER, manifest["tokenizer"])
    read: dict[str, list[int]] = {}
    texts = _training_texts(recipe, selections, data_dir, read)
    trained = train(recipe.tokenizer, texts, f"recipe {recipe.name} (tokenizer)")
    temporary = temporary_path(folder)
    temporary.mkdir(parents=True)
    try:
        save(trained, temporary / TOKENIZER)
        document = {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            "recipe": recipe.name,
            "tokenizer": trained.document(),
            "trained_on": {name: {"documents": counts[0], "bytes": counts[1]} for name, counts in read.items()},
        }
        write_json(temporary / MANIFEST, document)
        publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return trained


def _training_texts(
    recipe: LanguageRecipe, selections: Mapping[str, Selection], data_dir: Path, read: dict[str, list[int]]
) -> Iterator[str]:
    """The training documents of the sources it is trained on, by name; counts what it gives in `read`."""
    for name in sorted(recipe.tokenizer.trained_on):
        part, counts = selections[name].part, read.setdefault(name, [0, 0])
        place = 0
        for batch in read_documents(data_dir, recipe.mix.sources[name].dataset):
            for _, text in batch:
                if part[place] == TRAIN:
                    counts[0] += 1
                    counts[1] += len(text.encode())
                    yield text
                place += 1
