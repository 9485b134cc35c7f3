"""The recipe of a language model: what it has in place of rows and features. Its structure, field by field.

A recipe is of one of two shapes: rows with features (`recipe.Recipe`), or a mix of texts (`LanguageRecipe`); `mix` tells which.
What both shapes have stands in `recipe`; rules between the fields in `language_checks`.
"""

# A field of the other shape is taken away by an annotation that pydantic leaves alone.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mtac_assets.spec.fields import TASK_PATTERN, Count, Name, Seed, Share, Spec
from mtac_assets.spec.ratios import Ratio
from mtac_assets.spec.recipe import ChampionGate, Evaluation, Gates, Model, Recipe, Training, Triggers

LANGUAGE_MODELS = ("gpt",)
TASKS = ("arithmetic", "python_parses")
SCORES = ("length", "repetition", "compression", "english", "near_duplicates")

Score = Literal["length", "repetition", "compression", "english", "near_duplicates"]
Metric = Literal["loss", "bits_per_byte"]


class Filter(Spec):
    """Keeps the documents whose score compares so with the threshold."""

    score: Score = Field(description="A column of the scores.")
    op: Literal[">=", ">", "<=", "<"] = Field(description="How the score must compare.")
    threshold: float = Field(description="With what.")


class MixSource(Spec):
    """One source of texts."""

    dataset: Name = Field(description="The dataset, with columns `document` and `text`, not cut by day.")
    kind: Literal["real", "synthetic"] = Field(description="Written by people, or made by code.")
    ratio: Ratio | None = Field(
        default=None, description="Exact share of the tokens, such as 3/8; null where `temperature` decides."
    )
    max_epochs: Count = Field(default=1, description="Largest number of passes over the source.")
    max_share: Ratio | None = Field(default=None, description="Largest share of the tokens; null for no bound.")
    filters: tuple[Filter, ...] = Field(default=(), description="Conditions that a document must all meet.")


class Stage(Spec):
    """Other ratios from a step on."""

    from_step: Count = Field(description="First step of the stage, counted from 0.")
    ratios: dict[Name, Ratio] | None = Field(
        default=None, description="Exact share of every source; null where `temperature` decides."
    )
    temperature: Ratio | None = Field(
        default=None, description="Shares proportional to available tokens to the power of 1/temperature."
    )


class Mix(Spec):
    """Which texts the model learns from, in which shares, and how much of them."""

    tokens: Count = Field(description="Tokens to train on, rounded up to whole steps.")
    sequence_length: Annotated[int, Field(ge=2, le=1_048_576)] = Field(description="Tokens of a sequence.")
    sources: dict[Name, MixSource] = Field(
        min_length=1, description="The sources by name. Their order decides nothing."
    )
    temperature: Ratio | None = Field(
        default=None,
        description="In place of ratios: shares proportional to available tokens to the power of 1/temperature.",
    )
    max_synthetic_share: Ratio | None = Field(
        default=None, description="Largest share of all synthetic sources together; null for no bound."
    )
    stages: tuple[Stage, ...] = Field(default=(), description="A curriculum: other shares from a step on.")


class Tokenizer(Spec):
    """How text becomes tokens. It is trained on the training documents alone."""

    kind: Literal["byte_bpe"] = Field(description="Byte-level byte-pair encoding.")
    vocabulary_size: Annotated[int, Field(ge=257, le=1_000_000)] = Field(
        description="Tokens, the 256 bytes and the end of text included."
    )
    trained_on: tuple[Name, ...] = Field(min_length=1, description="Sources of the mix that it learns its merges from.")


class DocumentSplit(Spec):
    """How documents are parted. A document's part depends on its text's digest and the seed, not on the others."""

    validate_share: float = Field(gt=0, lt=1, description="Share of the documents to validate on.")
    test_share: float = Field(gt=0, lt=1, description="Share of the documents to evaluate on.")
    seed: Seed = Field(description="Another seed parts the documents another way.")


class LanguageModel(Model):
    """The network."""

    kind: str = Field(
        pattern=Model.model_fields["kind"].metadata[0].pattern,
        description=f"Built in ({', '.join(LANGUAGE_MODELS)}), or module:function in the recipe's folder.",
    )


class LanguageTraining(Training):
    """The loop. Everything here moves the weights' bits, hence the fingerprint. Sizes of batches count sequences."""

    epochs: ClassVar[None] = None  # mix.tokens decides how long
    label_smoothing: ClassVar[float] = 0.0


class DocumentBootstrap(Spec):
    """How the intervals of the metrics are drawn."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(default=1000, description="Resamples of documents.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the interval.")
    seed: Seed = Field(default=0, description="Seed of the resampling.")


class LanguageEvaluation(Evaluation):
    """How the model is judged on held-out documents."""

    baselines: ClassVar[tuple[()]] = ()
    min_slice_rows: ClassVar[None] = None
    bootstrap: DocumentBootstrap = Field(default_factory=DocumentBootstrap, description="How the intervals are drawn.")
    suite: tuple[Annotated[str, Field(pattern=TASK_PATTERN)], ...] = Field(
        default=TASKS,
        description=f"Tasks scored by code: built in ({', '.join(TASKS)}), or module:function in the recipe's folder.",
    )


class LanguageThreshold(Spec):
    """A bound on a metric of the test documents."""

    metric: Metric = Field(description="The metric.")
    source: Name | None = Field(default=None, description="Of one source; null for all of them together.")
    min: float | None = Field(default=None, description="At least; null for no lower bound.")
    max: float | None = Field(default=None, description="At most; null for no upper bound.")


class LanguageChampionGate(ChampionGate):
    """The model must beat the champion on the same held-out documents, and not by noise."""

    metric: Literal["bits_per_byte"] = Field(
        default="bits_per_byte", description="The metric: it compares between tokenisers."
    )
    source: Name | None = Field(default=None, description="On documents of one source; null for all of them together.")


class LanguageGates(Gates):
    """Rules a model must pass before it is promoted. Stamps and reproduction are always among them."""

    slices: ClassVar[tuple[()]] = ()
    baseline: ClassVar[None] = None
    champion: LanguageChampionGate | None = Field(
        default=None, description="Comparison with the champion; null for none."
    )
    thresholds: tuple[LanguageThreshold, ...] = Field(
        default=(), description="Bounds on metrics of the test documents."
    )
    near_duplicates: Share = Field(
        default=0.0, description="Largest share of held-out documents that have a near-duplicate to train on."
    )
    share_deviation: Share = Field(
        default=0.01, description="Largest difference between a source's achieved and requested share of the tokens."
    )


class LanguageTriggers(Triggers):
    """What starts a line."""

    performance: ClassVar[None] = None  # these watch days, and texts have none
    shadow: ClassVar[None] = None
    rollback: ClassVar[None] = None
    drift: ClassVar[None] = None


class LanguageRecipe(Recipe):
    """One language model, in full."""

    data: ClassVar[None] = None
    window: ClassVar[None] = None
    features: ClassVar[None] = None
    mix: Mix = Field(description="Which texts the model learns from, and how much of them.")
    tokenizer: Tokenizer = Field(description="How text becomes tokens.")
    split: DocumentSplit = Field(description="How documents are parted.")
    model: LanguageModel = Field(description="The network.")
    training: LanguageTraining = Field(description="The loop.")
    evaluation: LanguageEvaluation = Field(default_factory=LanguageEvaluation, description="How the model is judged.")
    gates: LanguageGates = Field(
        default_factory=LanguageGates, description="Rules a model must pass before it is promoted."
    )
    triggers: LanguageTriggers = Field(default_factory=LanguageTriggers, description="What starts a line.")

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return steps_for(self.mix, self.training.batch_size)


def steps_for(mix: Mix, batch_size: int) -> int:
    """Steps that hold the requested tokens, the last one perhaps only partly needed."""
    return -(-mix.tokens // (batch_size * mix.sequence_length))
