"""One segment of a log: a file of batches with its two indexes, and slices of it for readers.

Lives here: counted handles, and what is known of one segment. Which segment a batch goes to is
`partition_log.py`'s, writing is `writer.py`'s.
"""

from __future__ import annotations

import logging

from moldau.core.base.errors import CorruptData
from moldau.core.base.files import Files
from moldau.core.log.headers import BatchScan
from moldau.core.log.index import OffsetIndex, TimeIndex
from moldau.core.log.names import INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, segment_file
from moldau.core.protocol.batch import HEADER, HEADER_SIZE, MAGIC

logger = logging.getLogger(__name__)

NO_TIMESTAMP = -1


class OpenFile:
    """A handle that closes when its last holder lets go: slow readers keep deleted segments readable."""

    __slots__ = ("_files", "handle", "references")

    def __init__(self, files: Files, handle: int) -> None:
        self._files = files
        self.handle = handle
        self.references = 1

    def retain(self) -> None:
        self.references += 1

    def release(self) -> None:
        self.references -= 1
        if self.references == 0:
            self._files.close(self.handle)


class FileSlice:
    """Whole or cut batches: `length` bytes at `position` of an open file.

    Born with one reference, which its owner gives back by `release`.
    """

    __slots__ = ("file", "length", "position")

    def __init__(self, file: OpenFile, position: int, length: int) -> None:
        file.references += 1
        self.file = file
        self.position = position
        self.length = length

    def __len__(self) -> int:
        return self.length

    @property
    def handle(self) -> int:
        return self.file.handle

    def retain(self) -> None:
        """One more holder."""
        self.file.references += 1

    def release(self) -> None:
        """One holder less; the slice must not be read after its last."""
        self.file.release()

    def read(self) -> bytes:
        """The bytes. Blocks if they are not in the page cache. Raises OSError."""
        return self.file._files.pread(self.file.handle, self.length, self.position)


class Segment:
    """A file of batches from `base_offset` on. `size` counts what is written, not what is still gathered."""

    __slots__ = (
        "_files",
        "base_offset",
        "directory",
        "durable",
        "file",
        "first_timestamp",
        "max_timestamp",
        "max_timestamp_offset",
        "offsets",
        "size",
        "times",
    )

    def __init__(self, files: Files, directory: str, base_offset: int) -> None:
        self._files = files
        self.directory = directory
        self.base_offset = base_offset
        self.size = 0
        self.durable = False  # whether the directory's entry of its file was synced
        self.file: OpenFile | None = None
        self.offsets = OffsetIndex(files, self.path(INDEX_SUFFIX), base_offset)
        self.times = TimeIndex(files, self.path(TIME_INDEX_SUFFIX), base_offset)
        self.max_timestamp = NO_TIMESTAMP
        self.max_timestamp_offset = base_offset
        self.first_timestamp = NO_TIMESTAMP

    def path(self, suffix: str = LOG_SUFFIX) -> str:
        """The path of one of the segment's files."""
        return f"{self.directory}/{segment_file(self.base_offset, suffix)}"

    def opened(self) -> OpenFile:
        """The log file, opened if it was not (and made, if it is not there). Raises OSError."""
        file = self.file
        if file is None:
            file = self.file = OpenFile(self._files, self._files.open_append(self.path()))
        return file

    def borrowed(self) -> OpenFile:
        """The log file with a reference for the caller to release; a closed segment stays closed. Raises OSError."""
        file = self.file
        if file is None:
            return OpenFile(self._files, self._files.open_append(self.path()))
        file.retain()
        return file

    def close(self) -> None:
        """Give the handle back; slices that are out keep it open."""
        file, self.file = self.file, None
        if file is not None:
            file.release()

    def find(self, offset: int, end: int) -> int | None:
        """The position of the batch that holds `offset` or, in a gap, the one behind it; None: not below `end`.

        An index entry that does not fit the log is passed over. Raises OSError, CorruptData.
        """
        entry = self.offsets.floor(offset)
        start = 0
        if entry is not None:
            if self._fits(entry):
                start = entry[1]
            else:
                logger.warning("%s: the index entry %s does not fit the log", self.path(), entry)
        scan = self._scan(start, end)
        for position, _, header in scan:
            if header[0] + header[6] >= offset:
                return position
        if scan.problem is not None:
            raise CorruptData(f"{self.path()}: at byte {scan.position}: {scan.problem}")
        return None

    def _fits(self, entry: tuple[int, int]) -> bool:
        """Whether a batch with the entry's last offset stands where the entry says."""
        last_offset, position = entry
        content = self._files.pread(self.opened().handle, HEADER_SIZE, position)
        if len(content) < HEADER_SIZE:
            return False
        header = HEADER.unpack(content)
        return bool(header[3] == MAGIC and header[0] + header[6] == last_offset)

    def _scan(self, start: int, end: int) -> BatchScan:
        return BatchScan(self._files, self.opened().handle, start, end, check=False)

    def reload_first_timestamp(self) -> None:
        """Read the first batch's timestamp, from which `segment.ms` counts."""
        self.first_timestamp = NO_TIMESTAMP
        for _, _, header in self._scan(0, self.size):
            self.first_timestamp = header[8]
            return
