"""The log of rows, metrics.csv: what it holds is on the disk before a checkpoint counts it."""

import csv
import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from .plain.files import written_atomically


class RowLog(CSVLogger):
    """Lightning's CSVLogger, whose file is whole at every moment, and on the disk when a row is logged.

    Where a row has a new column, Lightning's empties the file and writes all rows again: a kill in between
    loses those that no later start logs again.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """What writes the file."""
        if self._experiment is None:
            self._fs.makedirs(self.root_dir, exist_ok=True)
            self._experiment = _DurableRows(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]  # of no narrower type there


class _DurableRows(ExperimentWriter):
    def save(self) -> None:
        """Add the rows that were logged since; with a new column, all rows in a new file."""
        if not self.metrics:
            return
        file = Path(self.metrics_file_path)
        new_columns = self._record_new_keys()
        if new_columns or not file.is_file():
            before = []
            if file.is_file():
                with file.open(newline="", encoding="utf-8") as stream:
                    before = list(csv.DictReader(stream))
            with (
                written_atomically(file, durable=True) as temporary,
                temporary.open("w", newline="", encoding="utf-8") as stream,
            ):
                writer = csv.DictWriter(stream, self.metrics_keys)
                writer.writeheader()
                writer.writerows([*before, *self.metrics])
        else:
            with file.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self.metrics_keys).writerows(self.metrics)
                stream.flush()
                os.fsync(stream.fileno())
        self.metrics = []
