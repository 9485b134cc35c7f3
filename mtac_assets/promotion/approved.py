"""The gates as the approved branch has them at the moment of the decision, and which branches hold a commit.

A branch of one's own may loosen its gates as it likes: they do not count before they are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.git import Repository
from mtac_assets.spec import yaml
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Gates, Rollback, Shadow
from mtac_assets.spec.shapes import checks_of, recipe_model
from mtac_assets.spec.validate import validate

WORKING_TREE = "working tree"


@dataclass(frozen=True)
class ApprovedGates:
    """The gates of a recipe, what it asks of live rows, and where they were read. `digest` is what the ledger keeps."""

    gates: Gates
    source: str
    shadow: Shadow | None = None
    rollback: Rollback | None = None

    @property
    def digest(self) -> str:
        return digest_json(self.gates.model_dump(mode="json"))


def approved_gates(project: Project, recipe: str) -> ApprovedGates:
    """Read the gates of `recipe` from the first approved branch that exists; from the working tree where any will do."""
    path = project.defs / recipe / "recipe.yaml"
    display = project.display(path)
    patterns = project.environment.promotion.branches
    if "*" in patterns:
        if not path.is_file():
            raise PromotionError(_absent(recipe, display, WORKING_TREE))
        return _approved(path.read_bytes(), display, WORKING_TREE)
    repository = Repository.at(project.root)
    branch = _approved_branch(repository, patterns)
    name = f"{branch}:{repository.prefix}{path.relative_to(project.root).as_posix()}"
    content = repository.read([name])[name]
    if content is None:
        raise PromotionError(_absent(recipe, display, branch))
    return _approved(content, f"{branch}:{display}", branch)


def branches_containing(repository: Repository, commit: str) -> tuple[str, ...]:
    """Local and remote branches from which `commit` can be reached; a remote's name is left off."""
    done = repository.attempt(
        "for-each-ref", f"--contains={commit}", "--format=%(refname)", "refs/heads", "refs/remotes"
    )
    names: dict[str, None] = {}
    for line in done.stdout.decode("utf-8", "replace").split():
        parts = line.split("/", 3 if line.startswith("refs/remotes/") else 2)
        names[parts[-1]] = None
    return tuple(names)


def _approved_branch(repository: Repository, patterns: tuple[str, ...]) -> str:
    heads = repository.text("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split()
    for pattern in patterns:
        for head in heads:
            if fnmatch(head, pattern):
                return head
    raise PromotionError(
        Finding(
            "no approved branch exists in this repository",
            str(repository.folder),
            f"a local branch that matches {', '.join(patterns)}",
            "fetch the branch, or change promotion.branches of the environment",
        )
    )


def _approved(content: bytes, name: str, source: str) -> ApprovedGates:
    document = yaml.parse(content, name)
    shape = recipe_model(document.data)
    validated = validate(shape, document, checks_of(shape))
    raise_all(PromotionError, validated.findings)
    assert validated.model is not None
    triggers = validated.model.triggers
    return ApprovedGates(validated.model.gates, source, triggers.shadow, triggers.rollback)


def _absent(recipe: str, path: str, source: str) -> Finding:
    return Finding(
        f"there is no recipe {recipe} to read gates from",
        f"{source}, {path}",
        "the recipe as it is approved now",
        "bring the recipe back, or promote under its new name",
    )
