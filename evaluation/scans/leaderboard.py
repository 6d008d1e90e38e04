"""Results of micc.py joined: who is first under which protocol, by how much, and whether that is chance.

Methods are compared over the subjects that all of them have, and over the same resamples of people: what
moves all methods alike, such as an easy subject, cancels in their differences.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from evaluation.metrics.score_summary import BOOTSTRAP_SEED
from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.results import RESULTS, Results, Row, read_results
from evaluation.scans.data_kinds import ALL_PHOTOGRAPHS, BY_PHOTOGRAPH
from evaluation.scans.methods import ANY_CONDITION
from evaluation.scans.table_1 import heading_of_place
from evaluation.scans.tables import BASELINES

SUBJECTS = "subjects.csv"
COLUMNS = ("subject", "condition", "method", "protocol", "value_mm")
REPEATS = 2000
MEAN, RANK, BEHIND = "mean", "rank", "behind the first"
RANKS = "ranks by protocol"
NO_SCORE = "no score on a subject that the other methods have; see its own results"
SHARE = 0.95  # of the resamples, inside an interval
TIE_MM = 1e-9  # means that differ by less share their rank: rounding in sums is not a difference


class JoinedResults(NamedTuple):
    """Scores of several results on the same data.

    Attributes:
        label: the data set's name in rows.
        stand_in: whether it is synthetic.
        scores: a line a subject, condition, method and protocol: the best of its scans, NaN where none is.
        sources: of each file its title, provenance and which methods were taken from it.
        digest: of the data.
    """

    label: str
    stand_in: bool
    scores: pd.DataFrame
    sources: list[dict[str, Any]]
    digest: str


class Standing(NamedTuple):
    """The methods of one protocol in one condition, best first.

    Attributes:
        protocol: its name.
        condition: likewise.
        methods: by their mean over the subjects that all have.
        means: of each, in mm.
        resampled: [R, M], the means over resamples of people.
        used: subjects that all have.
        subjects: that any has.
        people: in those that all have.
        unscored: methods without a score; all, where they share no subject.
        missing: how many subjects of each method have no score.
    """

    protocol: str
    condition: str
    methods: list[str]
    means: np.ndarray
    resampled: np.ndarray
    used: int
    subjects: int
    people: int
    unscored: list[str]
    missing: dict[str, int]


def joined(paths: Sequence[Path]) -> JoinedResults:
    """The results of several runs of micc.py, if they can stand in one table.

    Args:
        paths: results.json files, or the folders that they lie in, subjects.csv beside them.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if they are fewer than two, of another command, of different data, of a stand-in beside
            real data, or call two methods alike.
    """
    folders = [Path(path).parent if Path(path).name == RESULTS else Path(path) for path in paths]
    if len({folder.resolve() for folder in folders}) < 2:
        raise ValueError("a leaderboard needs the results of at least two runs; name several folders")
    read = [(folder, read_results(folder)) for folder in folders]
    for folder, results in read:
        if results.command != "micc":
            raise ValueError(
                f"{folder} holds results of {results.command}; a leaderboard joins those of micc.py"
            )
    first, base = read[0]
    for folder, results in read[1:]:
        _check_joinable(first, base, folder, results)
    tables: list[pd.DataFrame] = []
    taken: dict[str, Path] = {}
    for folder, _ in read:
        table = _scores_of(folder)
        for method in dict.fromkeys(table.method):
            if method in taken and method not in BASELINES:
                raise ValueError(
                    f"{taken[method]} and {folder} both call a method {method!r}; score one again with "
                    "--method NAME"
                )
            taken.setdefault(method, folder)
        tables.append(table.assign(source=_own_name(table, folder)))
    scores = pd.concat([_only_new(table, tables[:number]) for number, table in enumerate(tables)])
    label = next(
        (heading.data for row in base.rows if (heading := heading_of_place(row.protocol)) is not None),
        "scans",
    )
    sources = [
        {"folder": folder.name, "title": results.title, "provenance": results.provenance}
        for folder, results in read
    ]
    return JoinedResults(label, base.stand_in, scores, sources, _digest(base))


def _check_joinable(first: Path, base: Results, folder: Path, results: Results) -> None:
    if results.stand_in != base.stand_in:
        real, other = (folder, first) if base.stand_in else (first, folder)
        raise ValueError(f"{other} is of a STAND-IN and {real} of real data; they share no table")
    kinds = [str(each.provenance.get("data", {}).get("kind")) for each in (base, results)]
    if kinds[0] != kinds[1] or _digest(base) != _digest(results):
        raise ValueError(
            f"{first} and {folder} were scored against different scans ({kinds[0]}, {kinds[1]}); score both "
            "with the same --data and --subjects"
        )


def _digest(results: Results) -> str:
    """Of the scans; and how many photographs of them there are."""
    data = results.provenance.get("data", {})
    return f"{data.get('digest')} {data.get('photographs', '')}".strip()


def _scores_of(folder: Path) -> pd.DataFrame:
    """The best score of every subject, condition, method and protocol of a run."""
    file = folder / SUBJECTS
    if not file.is_file():
        raise FileNotFoundError(
            f"no {SUBJECTS} beside {folder / RESULTS}; copy it there, for paired intervals"
        )
    try:
        table = pd.read_csv(file, keep_default_na=False, na_values={"value_mm": [""]})
    except (ValueError, OSError) as error:  # pandas' errors are ValueErrors, too
        raise ValueError(f"{file} cannot be read ({str(error)[:100]})") from error
    lacking = [name for name in COLUMNS if name not in table]
    if lacking or not pd.api.types.is_numeric_dtype(table.value_mm) or np.isinf(table.value_mm).any():
        raise ValueError(f"{file} is no table of micc.py: expected columns {', '.join(COLUMNS)}")
    if "person" not in table:
        table["person"] = ""
    table["person"] = table.person.where(table.person != "", table.subject)
    keys = ["protocol", "condition", "method", "subject", "person"]
    best = table.groupby(keys, sort=False, as_index=False).value_mm.min()
    if (best.person == best.subject).all():
        return best
    return pd.concat([best.assign(condition=ALL_PHOTOGRAPHS), best], ignore_index=True)


def _own_name(table: pd.DataFrame, folder: Path) -> str:
    """What a run's baselines are called after: the method that it scored."""
    own = [name for name in dict.fromkeys(table.method) if name not in BASELINES]
    return own[0] if own else folder.name


def _only_new(table: pd.DataFrame, before: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A run's scores; of a baseline that an earlier run has, too, only what differs, named after the run."""
    parts = []
    for method, own in table.groupby("method", sort=False):
        for other in before:
            same = other[other.method == method]
            if len(same) and _same_scores(own, same):
                own = own.iloc[:0]
                break
        else:
            if any((other.method == method).any() for other in before):
                own = own.assign(method=f"{method} ({own.source.iloc[0]})")
        parts.append(own)
    return pd.concat(parts)


def _same_scores(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    keys = ["protocol", "condition", "subject"]
    both = one.merge(other, on=keys, suffixes=("", "_other"))
    return len(both) == len(one) and np.allclose(
        both.value_mm, both.value_mm_other, atol=1e-6, equal_nan=True
    )


def is_baseline(method: str) -> bool:
    """Whether a method is the mean face, a random face or the oracle, whatever run it is named after."""
    return any(method == name or method.startswith(f"{name} (") for name in BASELINES)


# ---------------------------------------------------------------------- standings


def standings(scores: pd.DataFrame, *, seed: int = BOOTSTRAP_SEED) -> list[Standing]:
    """The methods' order in each protocol and condition, over the same resamples of people.

    Args:
        scores: see `JoinedResults`.
        seed: of the resamples.
    """
    people = sorted(set(scores.person))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (REPEATS, len(people)), generator=generator).numpy()
    times = np.stack([np.bincount(row, minlength=len(people)) for row in drawn])
    return [
        _standing(scores[scores.protocol == protocol], str(protocol), condition, people, times)
        for protocol in dict.fromkeys(scores.protocol)
        for condition in _conditions(scores[scores.protocol == protocol])
    ]


def _conditions(scores: pd.DataFrame) -> list[str]:
    """Those of a table; what has one mesh for all conditions is in each."""
    named = [name for name in dict.fromkeys(scores.condition) if name != ANY_CONDITION]
    return named or [ANY_CONDITION]


def _standing(
    scores: pd.DataFrame, protocol: str, condition: str, people: Sequence[str], times: np.ndarray
) -> Standing:
    own = scores[scores.condition.isin([condition, ANY_CONDITION])]
    own = own.drop_duplicates(["method", "subject"], keep="first")
    wide = own.pivot(index="subject", columns="method", values="value_mm")
    methods = [name for name in dict.fromkeys(own.method) if wide[name].notna().any()]
    missing = {name: int(wide[name].isna().sum()) for name in methods if wide[name].isna().any()}
    common = wide[methods].dropna()
    if common.empty:
        methods, common = [], common[[]]
    person = own.drop_duplicates("subject").set_index("subject").person.loc[common.index]
    place = np.searchsorted(people, person)
    means = common.mean().to_numpy()
    order = np.argsort(means, kind="stable")
    sums = np.array([np.bincount(place, common[name], len(people)) for name in methods])
    sums = sums.reshape(len(methods), len(people)).T
    weight = times @ np.bincount(place, minlength=len(people))
    resampled = (times @ sums)[weight > 0] / weight[weight > 0][:, None]
    unscored = [name for name in dict.fromkeys(own.method) if name not in methods]
    return Standing(
        protocol, condition, [methods[index] for index in order], means[order], resampled[:, order],
        len(common), len(wide), len(set(person)), unscored, missing,
    )  # fmt: skip


def ranks_of(means: np.ndarray) -> np.ndarray:
    """Ranks [..., M] from 1 of means [..., M]: how many are smaller, and one; equal means share a rank."""
    return 1 + (means[..., None, :] < means[..., :, None] - TIE_MM).sum(-1)


def rows_of_standing(standing: Standing, label: str, first: Standing) -> Iterator[Row]:
    """Of each method the mean, the rank and how far it is behind the first, with intervals over people.

    Args:
        standing: in one protocol and condition.
        label: the data set's name.
        first: the same condition's standing under the first protocol.
    """
    where = label if standing.condition == ANY_CONDITION else f"{label} {standing.condition}"
    place, n = f"{where}, {standing.protocol}", standing.used
    enough = standing.people > 1
    ranks, resampled = ranks_of(standing.means), ranks_of(standing.resampled)
    shared = _order(standing, first)
    before, after = _ranks_among(first, shared), _ranks_among(standing, shared)
    for number, method in enumerate(standing.methods):
        means = standing.resampled[:, number]
        behind = means - standing.resampled[:, 0]
        value = float(standing.means[number])
        yield Row(method, place, MEAN, "mm", value, None, _interval(means, enough), n)
        interval = _interval(resampled[:, number], enough)
        yield Row(method, place, RANK, "count", int(ranks[number]), None, interval, n)
        yield Row(
            method, place, BEHIND, "mm", value - float(standing.means[0]), None,
            _interval(behind, enough and number > 0), n,
        )  # fmt: skip
        if standing is not first and method in shared:
            moved = after[method] - before[method]
            yield Row(method, place, f"places lost since {first.protocol}", "count", moved, n=n)
    for method in standing.unscored:
        yield Row(method, place, MEAN, "mm", None, n=0, reason=NO_SCORE)
    for method, count in standing.missing.items():
        yield Row(method, place, "failed", "count", count, n=count)


def _interval(values: np.ndarray, known: bool) -> tuple[float, float] | None:
    if not known or not len(values):
        return None
    low, high = np.quantile(values, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def change_sentences(found: Sequence[Standing]) -> Iterator[str]:
    """Who overtakes whom from the first protocol to another, by condition; and that nobody does."""
    for condition in dict.fromkeys(standing.condition for standing in found):
        first, *others = [standing for standing in found if standing.condition == condition]
        for other in others:
            shared = _order(other, first)
            before, after = _ranks_among(first, shared), _ranks_among(other, shared)
            passed = {
                better: [
                    worse
                    for worse in shared
                    if before[worse] < before[better] and after[better] < after[worse]
                ]
                for better in shared
            }
            words = [f"{better} passes {' and '.join(worse)}" for better, worse in passed.items() if worse]
            said = ", ".join(words) or "nobody passes anybody"
            yield f"{condition}, {first.protocol} to {other.protocol}: {said}"


def missing_sentences(found: Sequence[Standing]) -> Iterator[str]:
    """Which subjects do not count, since a method lacks them."""
    for standing in found:
        lacking = [f"{name} lacks {count}" for name, count in standing.missing.items()]
        if lacking:
            yield (
                f"{standing.condition}, {standing.protocol}: {standing.used} of {standing.subjects} count, "
                f"since {', '.join(lacking)}"
            )


def _order(one: Standing, other: Standing) -> list[str]:
    """The methods of one standing that the other has, too."""
    return [name for name in one.methods if name in other.methods]


def _ranks_among(standing: Standing, methods: Sequence[str]) -> dict[str, int]:
    """The ranks of some methods of a standing, the others left out."""
    means = np.array([standing.means[standing.methods.index(name)] for name in methods])
    return dict(zip(methods, ranks_of(means).tolist(), strict=True))


def count_of(scores: pd.DataFrame) -> tuple[int, int]:
    """How many scores there ought to be, and how many lack, whether or not a line says so.

    Every method of a protocol and condition ought to have one of every subject that any has.
    """
    total = missing = 0
    for _, own in scores.groupby(["protocol", "condition"], sort=False):
        wide = own.pivot(index="subject", columns="method", values="value_mm")
        total, missing = total + wide.size, missing + int(wide.isna().sum().sum())
    return total, missing


def unsettled(standing: Standing) -> Iterator[str]:
    """Neighbours whose order may be chance: the interval of their difference holds zero."""
    for number, (ahead, behind) in enumerate(pairwise(standing.methods)):
        interval = _interval(standing.resampled[:, number + 1] - standing.resampled[:, number], True)
        if standing.people < 2 or interval is None or interval[0] <= 0:
            yield f"{ahead} and {behind}"


# ---------------------------------------------------------------------- tables


def blocks(results: Results) -> list[Block]:
    """A table for each protocol and condition, and one of the ranks under all of them."""
    places = dict.fromkeys(row.protocol for row in results.rows)
    found = []
    for place in places:
        heading = heading_of_place(place)
        assert heading is not None
        rows = [row for row in results.rows if row.protocol == place and row.metric != "failed"]
        counts = max((row.n or 0 for row in rows), default=0)
        items = "photographs" if heading.data in BY_PHOTOGRAPH else "subjects"
        title = f"{heading.protocol}, {heading.condition}: over the {counts} {items} that all have"
        found.append(block_of(rows, title, part=_part))
    ranks = [row for row in results.rows if row.metric == RANK]
    if len({_protocol(row) for row in ranks}) > 1:
        for condition in dict.fromkeys(map(_condition, ranks)):
            own = [row._replace(interval=None) for row in ranks if _condition(row) == condition]
            found.append(block_of(own, f"{RANKS}, {condition}", column=_protocol, part=_part))
    return found


def _part(row: Row) -> int:
    return int(is_baseline(row.method))


def _protocol(row: Row) -> str:
    heading = heading_of_place(row.protocol)
    return "" if heading is None else heading.protocol


def _condition(row: Row) -> str:
    heading = heading_of_place(row.protocol)
    return "" if heading is None else heading.condition
