"""Parquet files, and what is wrong with a damaged one: where it is cut off, or which column's values cannot be unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

_MARK = b"PAR1"  # both ends of a whole file
_AGAIN = "Copy it again from where it is whole, or save it again."


def read(path: Path, most: int | None = None) -> pd.DataFrame:
    """The rows of a file, or about the first so many; ReverieError names what is damaged of it, and what to do."""
    import pandas as pd

    file = opened(path)
    try:
        return pd.read_parquet(path) if most is None else _first(file, most)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever damage makes them stumble on
        raise ReverieError(f"{path} is a damaged Parquet file: {_damaged(file)}. {_AGAIN}") from error


def opened(path: Path) -> Any:
    """The file by its own list of columns (pyarrow's ParquetFile); ReverieError where it is cut off or that is damaged."""
    from pyarrow.parquet import ParquetFile

    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - len(_MARK), 0))
        whole = size > 2 * len(_MARK) and file.read() == _MARK
    if not whole:
        raise ReverieError(
            f"{path} is cut off, or damaged at its end: a Parquet file ends with the list of its columns, and the last of these "
            f"{size:,} bytes are none. {_AGAIN}"
        )
    try:
        return ParquetFile(path)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise ReverieError(
            f"{path} is a damaged Parquet file: the list of its columns, at its end, cannot be read. {_AGAIN}"
        ) from error


def _first(file: Any, most: int) -> pd.DataFrame:
    batch = next(file.iter_batches(most), None)
    return (file.schema_arrow.empty_table() if batch is None else batch).to_pandas()


def _damaged(file: Any) -> str:
    """Which column of which rows cannot be unpacked, the first that there is."""
    first = 1
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        for name in file.schema_arrow.names:
            try:
                file.read_row_group(group, columns=[name]).to_pandas(ignore_metadata=True)
            except MemoryError:
                raise
            except Exception:  # as above
                return f"the values of column '{name}' in rows {first:,} to {first + rows - 1:,} cannot be unpacked"
        first += rows
    return "what is said of its columns, at its end, cannot be read"
