"""What was valid is not parsed again, and is never a wrong answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.spec.errors import SpecError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project

AS_OF = date(2024, 2, 1)


def memory(project: Project) -> list[Path]:
    return sorted((project.state.cache / "recipes").glob("*.json"))


def test_the_second_answer_equals_the_first(project: Project):
    first = load_recipe(project, "returns", ["training.epochs=2"], AS_OF)
    second = load_recipe(project, "returns", ["training.epochs=2"], AS_OF)
    assert len(memory(project)) == 1
    assert "recipe" not in second.__dict__  # not typed yet: it came from memory
    assert second == first
    assert second.document() == first.document()
    assert second.recipe == first.recipe
    again = find_project(project.root)
    assert again == project
    assert again.environment == project.environment
    assert again.state == project.state


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("team/defs/returns/recipe.yaml", "epochs: 1", "epochs: x"),
        ("team/defs/visits/dataset.yaml", "min: 1,", "min: x,"),
        ("team/defs/rain/dataset.yaml", "start: 2024-01-05", "start: 2024-01-31"),
        ("team/defs/returns/features.py", "def label", "def lable"),
        ("team/defs/rain/contract.py", "schema = object", "shema = object"),
    ],
)
def test_a_fault_that_comes_later_is_found(project: Project, edit: Callable[..., int], name: str, old: str, new: str):
    load_recipe(project, "returns", as_of=AS_OF)
    edit(old, new, name)
    for _ in range(2):
        with pytest.raises(SpecError):
            load_recipe(project, "returns", as_of=AS_OF)


def test_a_file_that_goes_is_missed(project: Project):
    load_recipe(project, "returns", as_of=AS_OF)
    (project.root / "team/defs/rain/dataset.yaml").unlink()
    with pytest.raises(SpecError, match="no dataset is called `rain`"):
        load_recipe(project, "returns", as_of=AS_OF)


def test_another_question_has_another_answer(project: Project):
    one = load_recipe(project, "returns", as_of=AS_OF)
    other = load_recipe(project, "returns", as_of=date(2024, 2, 2))
    assert (one.as_of, other.as_of) == (AS_OF, date(2024, 2, 2))
    with pytest.raises(SpecError):
        load_recipe(project, "returns")


@pytest.mark.parametrize("damage", [b"", b"junk", b"\n{}", None])
def test_a_damaged_memory_is_not_believed(project: Project, damage: bytes | None):
    first = load_recipe(project, "returns", as_of=AS_OF)
    (path,) = memory(project)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"epochs":1', b'"epochs":9') if damage is None else damage)
    assert load_recipe(project, "returns", as_of=AS_OF) == first
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_only_costs_time(project: Project):
    project.state.root.mkdir(exist_ok=True)
    for child in project.state.root.iterdir():
        subprocess.run(["rm", "-r", str(child)], check=True)
    project.state.cache.write_text("a file where the folder should be")
    assert load_recipe(project, "returns", as_of=AS_OF).recipe.training.epochs == 1
    assert find_project(project.root).environment.name == "local"


def test_an_environment_is_read_again_after_a_change(project: Project, edit: Callable[..., int]):
    edit("state: .mtac", "state: elsewhere", "team/environments/local.yaml")
    assert find_project(project.root).state.root == project.root / "elsewhere"
    edit("state: elsewhere", "state: ..", "team/environments/local.yaml")
    with pytest.raises(SpecError, match="leaves the project"):
        find_project(project.root)


def test_no_folder_is_made_that_nobody_asked_for(project: Project, edit: Callable[..., int]):
    subprocess.run(["rm", "-rf", str(project.root / ".mtac")], check=True)
    edit("state: .mtac", "state: elsewhere", "team/environments/local.yaml")
    load_recipe(find_project(project.root), "returns", as_of=AS_OF)
    assert not (project.root / ".mtac").exists()


def test_a_remembered_recipe_needs_neither_pydantic_nor_ruamel(project: Project, root: Path):
    load_recipe(project, "returns", as_of=AS_OF)
    script = (
        "import sys\n"
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from mtac_assets.spec.load import load_recipe\n"
        "from mtac_assets.spec.project import find_project\n"
        "resolved = load_recipe(find_project(Path(sys.argv[1])), 'returns', as_of=date(2024, 2, 1))\n"
        "resolved.identity_document(), resolved.windows(), resolved.document()\n"
        "print(*[name for name in ('pydantic', 'pydantic_core', 'ruamel', 'ruamel.yaml') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", script, str(project.root)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
