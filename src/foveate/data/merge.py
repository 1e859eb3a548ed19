"""Merge manifests of several sets into one, under one schema; what a set does not know stays unknown."""

from __future__ import annotations

import collections.abc as abc
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foveate.core.labels import YES_NO, LabelSchema, Question
from foveate.core.types import Cue, MaskSource, Row
from foveate.data.derive import derive_presence
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.mapping import LabelMap, Mapping, QuestionMap, SourceMap

Answers = abc.Mapping[str, str]


def merge(manifests: Sequence[Manifest], *, mapping: Mapping) -> Manifest:
    """One manifest of several.

    - A question or label that a source does not have is unknown in its rows, never "no" or absent.
    - Labels that become one are united. If one of them is unknown in an image, or was marked by other annotators, the
      new one is unknown there: what was not looked for may be there.
    - A set of exclusive labels may enter a merged set of overlapping ones (each of its labels is a mask of its own).
      The other way both must be stated: ``exclusive = true`` of the merged set and of each source that is not.
    - Patients, eyes and volumes get the source's name in front, so that "17" of two sets is not one person; sources
      that share their people name the same ``people``. An id that two sources have gets the source's name in front.
    - ``Row.source`` stays where it is given.
    - Every source's info (licence, citation, ...) is in ``info["sources"]``; the licences are listed in ``info``.

    Args:
        manifests: two or more, each with a name of its own (`source_name`).
        mapping: what becomes of their questions, answers and labels.

    Returns:
        the rows in the order of the manifests; paths start from the deepest folder that holds all roots.

    Raises:
        ValueError: the mapping names a source, question, answer or label that is not there; questions that become one
            differ in their answers; exclusive and overlapping labels meet without a statement; folds differ in number.
    """
    named = _named(manifests)
    if strange := sorted(set(mapping.sources) - set(named)):
        raise ValueError(f"sources.{strange[0]}: there is no such manifest; there are {list(named)}")
    parts = [_Part(name, one, mapping.sources.get(name, SourceMap())) for name, one in named.items()]
    schema = LabelSchema(
        tuple(_questions(parts, mapping)),
        tuple(dict.fromkeys(new for part in parts for new in part.labels)),
        _exclusive(parts, mapping),
    )
    for part in parts:
        part.check_absent(schema)
    if mapping.splits == "keep":
        _folds_fit(parts)
    ids = Counter(row.id for part in parts for row in part.manifest)
    root = Path(os.path.commonpath([os.path.realpath(one.root) for one in manifests]))
    rows = tuple(
        replace(
            row,
            id=f"{part.name}/{row.id}" if ids[row.id] > 1 else row.id,
            split=row.split if mapping.splits == "keep" else None,
            fold=row.fold if mapping.splits == "keep" else None,
        )
        for part in parts
        for row in part.rows(root)
    )
    whole = Manifest(schema, rows, root, info=_info(parts, mapping))
    asked = {name: one.derive for name, one in mapping.questions.items() if one.derive}
    return derive_presence(whole, asked).manifest if asked else whole


def source_name(manifest: Manifest) -> str:
    """The name that a mapping knows a manifest by: ``info["name"]``, else its file's name without ending.

    Raises:
        ValueError: it has neither.
    """
    name = manifest.info.get("name") or (manifest.path.stem if manifest.path else None)
    if not isinstance(name, str):
        raise ValueError('manifests: one has neither info["name"] nor a file; give it a name to merge it by')
    return name


@dataclass(frozen=True)
class _Part:
    """A manifest and what becomes of it."""

    name: str
    manifest: Manifest
    said: SourceMap

    def __post_init__(self) -> None:
        schema, where = self.manifest.schema, f"sources.{self.name}"
        for old in self.said.questions:
            if old not in (names := [q.name for q in schema.questions]):
                raise ValueError(f"{where}.questions.{old}: the set has no such question; it has {names}")
        for old in self.said.labels:
            if old not in schema.labels:
                raise ValueError(f"{where}.labels.{old}: the set has no such label; it has {list(schema.labels)}")
        for label, olds in self.labels.items():
            if len(olds) > 1 and (silent := [old for old in olds if old not in self.said.labels]):
                raise ValueError(
                    f"{where}.labels: {olds} all become {label!r}; write {silent[0]} = {label!r} too if so, or "
                    "give it another name"
                )
        for new, olds in self.united.items():
            if several := [old for old in olds if len(olds) > 1 and not schema.question(old).yes_no]:
                raise ValueError(
                    f"{where}.questions: {olds} all become {new!r}, but only yes/no questions unite, and "
                    f"{several[0]!r} has the answers {list(schema.question(several[0]).answers)}; drop one, "
                    f"{several[0]} = false"
                )
            if len(olds) > 1 and (mapped := [old for old in olds if self._question(old).answers]):
                raise ValueError(
                    f"{where}.questions.{mapped[0]}: questions that unite in {new!r} keep their answers no and yes; "
                    "leave answers out"
                )

    @property
    def labels(self) -> dict[str, list[str]]:
        """New label -> those that become it."""
        out: dict[str, list[str]] = defaultdict(list)
        for old in self.manifest.schema.labels:
            new = self.said.labels.get(old, LabelMap(to=old)).to
            if new is not None:
                out[new].append(old)
        return dict(out)

    @property
    def united(self) -> dict[str, list[str]]:
        """New question -> those that become it."""
        out: dict[str, list[str]] = defaultdict(list)
        for q in self.manifest.schema.questions:
            if (new := self._question(q.name).to) is not None:
                out[new].append(q.name)
        return dict(out)

    def _question(self, name: str) -> QuestionMap:
        return self.said.questions.get(name, QuestionMap(to=name))

    def questions(self) -> dict[str, Question]:
        """New question -> as this source asks it."""
        becomes = {old: new for new, olds in self.labels.items() for old in olds}
        out: dict[str, Question] = {}
        for q in self.manifest.schema.questions:
            said = self._question(q.name)
            if said.to is None:
                continue
            if strange := sorted(set(said.answers) - set(q.answers)):
                raise ValueError(
                    f"sources.{self.name}.questions.{q.name}.answers.{strange[0]}: the question has no such answer; "
                    f"it has {list(q.answers)}"
                )
            answers = tuple(dict.fromkeys(new for a in q.answers if (new := said.answers.get(a, a)) is not None))
            if set(answers) == set(YES_NO):
                answers = YES_NO
            if len(answers) < 2:
                raise ValueError(
                    f"sources.{self.name}.questions.{q.name}: its answers become {list(answers)}; leave two or drop it"
                )
            evidence = tuple(dict.fromkeys(becomes[label] for label in q.evidence if label in becomes))
            yes_no = answers == YES_NO
            kept = q.merged if answers == q.answers else ()
            healthy = None if q.healthy is None else said.answers.get(q.healthy, q.healthy)
            if said.to in out:  # several yes/no questions become one
                evidence = tuple(dict.fromkeys((*out[said.to].evidence, *evidence)))
            out[said.to] = Question(
                said.to,
                answers,
                q.ordered and not yes_no,
                evidence if yes_no or healthy in answers else (),
                kept,
                healthy if healthy in answers else None,
            )
        return out

    def check_absent(self, schema: LabelSchema) -> None:
        """Raise ValueError if the labels that are declared absent, or the answers, are not there."""
        where = f"sources.{self.name}"
        listed = [label for answers in self._free_of.values() for labels in answers.values() for label in labels]
        for label in dict.fromkeys([*self.said.absent, *listed]):
            if label not in schema.labels:
                raise ValueError(f"{where}: absent label {label!r} must be one of {list(schema.labels)}")
        own = {q.name: q.answers for q in self.questions().values()}
        for question, answers in self._free_of.items():
            there = list(own.get(question, ()))
            if odd := sorted(set(answers) - set(there)):
                raise ValueError(
                    f"{where}.absent_if.{question}: an answer must be one of {there or f'a question of {list(own)}'}, "
                    f"got {odd[0]!r}"
                )

    @property
    def _free_of(self) -> dict[str, dict[str, list[str]]]:
        return self.said.absent_if

    def _declared(self, row: Row) -> Row:
        """The row with the labels declared absent of which it has no mask."""
        free = list(self.said.absent)
        for question, answers in self._free_of.items():
            free += answers.get(row.answers.get(question, ""), [])
        new = {label: ABSENT for label in free if label not in row.masks}
        return replace(row, masks={**row.masks, **new}) if new else row

    def rows(self, root: Path) -> Iterable[Row]:
        """Its rows under the merged schema, paths from another folder."""
        people = self.said.people or self.name
        for row in self.manifest.at(root):
            merged = replace(
                row,
                answers=self._answers(row.answers),
                masks=self._masks(row),
                cues=self._cues(row),
                readings={reader: kept for reader, given in row.readings.items() if (kept := self._answers(given))},
                patient=row.patient and f"{people}/{row.patient}",
                eye=row.eye and f"{people}/{row.eye}",
                volume=row.volume and f"{people}/{row.volume}",
                source=row.source or self.name,
            )
            yield self._declared(merged)

    def _answers(self, answers: Answers) -> dict[str, str]:
        out = {}
        for name, given in answers.items():
            said, q = self._question(name), self.manifest.schema.question(name)
            own = given if given in q.answers else q.answers[q.index(given)]
            new = said.answers.get(own, given)
            if said.to is not None and new is not None:
                out[said.to] = new
        for new, olds in self.united.items():
            if len(olds) > 1:
                seen = {answers.get(old) for old in olds}
                out.pop(new, None)
                if any_yes := ("yes" if "yes" in seen else "no" if seen == {"no"} else None):
                    out[new] = any_yes
        return out

    def _cues(self, row: Row) -> dict[str, tuple[Cue, ...]]:
        """Cues of a row; as for masks, known if the same annotators looked for all labels that become one."""
        out = {}
        for new, olds in self.labels.items():
            given = [row.cues.get(old, ()) for old in olds]
            if all(given) and len({frozenset(cue.annotator for cue in cues) for cues in given}) == 1:
                cues = tuple(dict.fromkeys(cue for some in given for cue in some))
                seen = {cue.annotator for cue in cues if not cue.absent}
                out[new] = tuple(cue for cue in cues if not (cue.absent and cue.annotator in seen))
        return out

    def _masks(self, row: Row) -> dict[str, tuple[MaskSource, ...]]:
        out = {}
        for new, olds in self.labels.items():
            given = [row.masks.get(old, ()) for old in olds]
            annotators = {frozenset(source.annotator for source in sources) for sources in given}
            if all(given) and len(annotators) == 1:  # else one of them was not looked for by all: unknown
                out[new] = tuple(dict.fromkeys(source for sources in given for source in sources))
        return out


def _named(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    out: dict[str, Manifest] = {}
    for one in manifests:
        name = source_name(one)
        if name in out:
            raise ValueError(
                f'manifests: two are called {name!r}; give one another name (info["name"] in its first line)'
            )
        out[name] = one
    if len(out) < 2:
        raise ValueError(f"manifests: {list(out)}; give two or more to merge")
    return out


def _questions(parts: Sequence[_Part], mapping: Mapping) -> list[Question]:
    asked: dict[str, dict[str, Question]] = defaultdict(dict)
    for part in parts:
        for new, question in part.questions().items():
            asked[new][part.name] = question
    if strange := sorted(name for name, one in mapping.questions.items() if name not in asked and not one.derive):
        raise ValueError(f"questions.{strange[0]}: no source has it; the questions are {list(asked)}")
    asked.update({name: {} for name in mapping.questions if name not in asked})  # derived from masks
    out = []
    for name, versions in asked.items():
        said = mapping.questions.get(name)
        evidence = tuple(dict.fromkeys(label for q in versions.values() for label in q.evidence))
        if said is not None:
            stated = {said.healthy} if said.healthy else {q.healthy for q in versions.values()} & set(said.answers)
            healthy = stated.pop() if len(stated) == 1 else None
            signs = tuple(said.derive or said.evidence) or evidence
            whole = Question(name, tuple(said.answers), said.ordered, signs, healthy=healthy)
            for source, q in versions.items():
                if strange := [a for a in q.answers if a not in whole.answers]:
                    raise ValueError(
                        f"sources.{source}: its answer to {name!r} must be one of {list(whole.answers)}, "
                        f"got {strange[0]!r}; map it in sources.{source}.questions, "
                        f"or add it to questions.{name}.answers"
                    )
            out.append(whole)
            continue
        if len({(q.answers, q.ordered, q.merged) for q in versions.values()}) > 1 or len(healthy_of(versions)) > 1:
            told = "; ".join(f"{s}: {list(q.answers)}{' in order' * q.ordered}" for s, q in versions.items())
            raise ValueError(
                f"question {name!r} is not the same in all sources ({told}); map the answers, or write the merged "
                f"one in [questions.{name}]"
            )
        healthy = next(iter(healthy_of(versions)), None)
        out.append(replace(next(iter(versions.values())), evidence=evidence, healthy=healthy))
    return out


def healthy_of(versions: abc.Mapping[str, Question]) -> set[str]:
    """The healthy answers that sources state; a source that states none agrees with any."""
    return {q.healthy for q in versions.values() if q.healthy is not None}


def _exclusive(parts: Sequence[_Part], mapping: Mapping) -> bool:
    marked = [part for part in parts if part.labels]
    overlapping = [p.name for p in marked if not (p.manifest.schema.exclusive or p.said.exclusive)]
    if mapping.exclusive and overlapping:
        raise ValueError(
            f"exclusive = true, but labels of {overlapping[0]!r} may overlap; if they do not, set exclusive = true in "
            f"[sources.{overlapping[0]}] too, else leave it out above"
        )
    return bool(marked) and not overlapping if mapping.exclusive is None else mapping.exclusive


def _folds_fit(parts: Sequence[_Part]) -> None:
    counts = {part.name: 1 + max((r.fold for r in part.manifest if r.fold is not None), default=-1) for part in parts}
    if len(set(counts.values())) > 1:
        raise ValueError(f'the sources have {counts} folds; set splits = "reset" and split the merged set')


def _info(parts: Sequence[_Part], mapping: Mapping) -> dict[str, Any]:
    sources = {part.name: {**part.manifest.info, "images": len(part.manifest)} for part in parts}
    out: dict[str, Any] = {"name": mapping.name}
    for key in ("licence", "citation"):
        if given := [f"{name}: {info[key]}" for name, info in sources.items() if info.get(key)]:
            out[key] = "; ".join(given)
    return {**out, "sources": sources, "splits": mapping.splits}
