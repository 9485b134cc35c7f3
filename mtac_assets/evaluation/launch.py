"""Evaluating in a process of its own, so that whoever asks loads neither torch nor scikit-learn. No heavy import here.

The child (`python -m mtac_assets.evaluation`) writes progress to standard error, nothing to standard output, and the folder
at once; its errors come back as the findings that it had.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mtac_assets.evaluation.errors import EvaluationError, EvaluationKilled
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training import ahead, nursery
from mtac_assets.training.child import Overdue, attend, run_child, signal_words, variables

MODULE = "mtac_assets.evaluation"
LIBRARIES = (
    "torch",
    "safetensors.torch",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.compose",
    "jinja2",
)


def evaluate(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    champion: Path | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    pipes: Mapping[str, str] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Evaluate `pack` on the test rows of `resolved` and return the report's folder (by default reports/<Model ID>).

    `champion`: a pack to be scored on the same rows. `pipes`: variables for the child's environment. `on_note` gets each
    line of progress. Raises EvaluationError or CheckFailed with the child's findings; EvaluationKilled where a signal or
    the environment's `limits.run_seconds` ended it.
    """
    final = out if out is not None else project.state.reports / read_json(pack / "pack.json")["model_id"]
    order = {"pack": pack, "out": final} | ({"champion": champion} if champion is not None else {})
    begun = _take(project, resolved, data_dir) if on_note is not None and not pipes else None
    _run(project, resolved, order, ["--data", str(data_dir or project.state.data)], pipes, on_note, begun)
    return final


def judge(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    out: Path,
    data_dir: Path,
    baselines: Sequence[str],
    champion: Path | None = None,
) -> Path:
    """Score `pack` anew for a decision (`judged.judge`) into the folder `out`; raises as `evaluate` does."""
    order = {"pack": pack, "out": out} | ({"champion": champion} if champion is not None else {})
    options = ["--data", str(data_dir), "--judge", *(word for name in baselines for word in ("--baseline", name))]
    _run(project, resolved, order, options, None, lambda _: None, None)
    return out


def score_documents(
    project: Project, resolved: ResolvedRecipe, pack: Path, *, tokens: Path, documents: Path, out: Path
) -> Path:
    """Score the held-out documents of the training set `documents` with a language model, into the file `out` (`language.documents`).

    `tokens`: a training set with the model's own tokeniser. Raises as `evaluate` does.
    """
    order = {"pack": pack, "tokens": tokens, "documents": documents, "out": out}
    _run(project, resolved, order, (), None, lambda _: None, None)
    return out


def _run(
    project: Project,
    resolved: ResolvedRecipe,
    order: Mapping[str, Path],
    options: Sequence[str],
    pipes: Mapping[str, str] | None,
    on_note: Callable[[str], None] | None,
    begun: _Begun | None,
) -> None:
    """The child with `order` as options, to its end; `begun`: a process that waits for the order."""
    final = order["out"]
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-evaluation-", dir=final.parent) as folder:
        recipe, errors = Path(folder) / "recipe.json", Path(folder) / "errors.json"
        write_json(recipe, {"schema_version": 1, **resolved.document()})
        told = {name: str(path.absolute()) for name, path in order.items()} | {"errors": str(errors)}
        arguments = ["--recipe", str(recipe), *options, *_keeping()]
        arguments += [word for name, value in told.items() for word in (f"--{name}", value)]
        environment = {**variables(project, resolved), **(pipes or {})}
        limit = project.environment.limits.run_seconds
        try:
            if begun is not None and begun.listens(told):
                code = attend(begun.child, limit, on_note)
            else:
                code = run_child(MODULE, arguments, project.root, environment, limit, on_note)
        except Overdue as error:
            raise EvaluationKilled(
                Finding(
                    f"the evaluation took longer than {limit:g} s and was ended",
                    "limits.run_seconds of the environment",
                    f"an end within {limit:g} s",
                    "raise the limit, or lower evaluation.bootstrap.resamples",
                )
            ) from error
        finally:
            if begun is not None:
                begun.dismiss()
        if code != 0:
            raise _failure(code, errors, final)


@contextmanager
def keeping_baselines(folder: Path) -> Iterator[None]:
    """Within the block, evaluations and judgements take baselines from `folder` and keep them there (`kept_baselines`). For replays."""
    global _kept
    before, _kept = _kept, folder
    try:
        yield
    finally:
        _kept = before


def prepare(project: Project, resolved: ResolvedRecipe) -> None:
    """Begin the process of an evaluation whose notes will be read, to load its libraries while there is other work."""
    ahead.prepare(MODULE, LIBRARIES, project.root, variables(project, resolved), stderr=subprocess.PIPE)


@contextmanager
def beginning(project: Project, resolved: ResolvedRecipe) -> Iterator[Callable[[], None]]:
    """For a block that trains the model. It yields what to call once a core is spare: then a process that waits since `prepare`
    reads the rows and fits the baselines, and `evaluate` of the same recipe goes on with it. One that stays in a nursery fits them
    into the folder of `keeping_baselines`, before its next order. Nothing is done where there is neither, where the training takes
    all cores, or for a recipe of texts. Where the block raises, the process is ended, or its fit waited for."""
    spare = not resolved.is_language and (os.cpu_count() or 1) > resolved.recipe.training.threads
    try:
        yield lambda: _begin(project, resolved) if spare else None
    except BaseException:
        _dismiss()
        raise


class _Begun:
    """One process that reads and fits, and the recipe file that it reads. A fork does that alone, and is told no more."""

    def __init__(
        self, child: subprocess.Popen[bytes] | nursery.Forked, folder: tempfile.TemporaryDirectory[str], of: str
    ) -> None:
        self.child, self.of, self._folder = child, of, folder

    def holds(self, of: str) -> bool:
        """Whether it can serve the evaluation `of`, as far as it has come."""
        return self.of == of and (isinstance(self.child, nursery.Forked) or self.child.poll() is None)

    def listens(self, order: Mapping[str, str]) -> bool:
        """Whether it has taken the order, and will end when that is done."""
        return not isinstance(self.child, nursery.Forked) and ahead.tell(self.child, order, last=True)

    def dismiss(self) -> None:
        if isinstance(self.child, nursery.Forked):
            self.child.wait()
        else:
            ahead.end(self.child)
        self._folder.cleanup()


_begun: list[_Begun] = []  # at most one
_kept: Path | None = None


def _keeping() -> list[str]:
    return [] if _kept is None else ["--kept", str(_kept.absolute())]


def _begin(project: Project, resolved: ResolvedRecipe) -> None:
    _dismiss()
    project.state.runs.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix=".tmp-evaluation-", dir=project.state.runs)
    recipe = Path(folder.name) / "recipe.json"
    write_json(recipe, {"schema_version": 1, **resolved.document()})
    arguments = ["--recipe", str(recipe), "--data", str(project.state.data), *_keeping()]
    mothers, environment = nursery.opened(), variables(project, resolved)
    if mothers is None or MODULE not in mothers.stay:
        child = ahead.take_listening(MODULE, [*arguments, "--listen"], project.root, environment)
    elif _kept is not None:
        child = mothers.fork(MODULE, [*arguments, "--fit"], project.root, environment, piped=False)
    else:
        child = None
    if child is None:
        folder.cleanup()
    else:
        _begun.append(_Begun(child, folder, _of(project, resolved, None)))


def _dismiss() -> None:
    while _begun:
        _begun.pop().dismiss()


def _take(project: Project, resolved: ResolvedRecipe, data_dir: Path | None) -> _Begun | None:
    """The process begun for this evaluation. One for another, or one that has failed, is cleared away: a new one tells why."""
    if not _begun:
        return None
    begun = _begun.pop()
    if not begun.holds(_of(project, resolved, data_dir)):
        begun.dismiss()
        return None
    return begun


def _of(project: Project, resolved: ResolvedRecipe, data_dir: Path | None) -> str:
    return digest_json([resolved.document(), str(project.root), str(data_dir or project.state.data)])


def _failure(code: int, errors: Path, out: Path) -> MtacError:
    if code < 0:
        finding = Finding(
            f"the evaluation was ended by {signal_words(code)}", str(out), "an exit of its own", "evaluate once more"
        )
        return EvaluationKilled(finding)
    if not errors.is_file():
        finding = Finding(
            f"the evaluation ended with code {code} and said no more", str(out), "0", "see its last lines above"
        )
        return EvaluationKilled(finding)
    findings = [Finding(**entry) for entry in read_json(errors)["errors"]]
    return (CheckFailed if code == CheckFailed.exit_code else EvaluationError)(*findings)
