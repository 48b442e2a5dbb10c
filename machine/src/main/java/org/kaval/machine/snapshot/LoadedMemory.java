package org.kaval.machine.snapshot;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.kaval.linux.Fd;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// Reads the memory of snapshots that cannot be mapped, one over the other.
///
/// One thread.
final class LoadedMemory {
    private final GuestMemory memory;

    /// @param memory zeros at first; the caller closes it
    LoadedMemory(GuestMemory memory) {
        this.memory = memory;
    }

    /// Puts what a compressed file has over what is there.
    void addCompressed(Path file, Manifest.Part part) throws IOException {
        CompressedMemory.read(file, part, (offset, length) -> at(file, offset, length));
    }

    /// Puts all of a file's data there.
    void addAll(Path file) throws IOException {
        List<Long> sizes = memory.ranges().stream().map(GuestRange::size).toList();
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            FileExtents.forEach(
                    fd,
                    sizes,
                    0,
                    (offset, length) -> MemoryFile.readAll(fd, at(file, offset, length), offset));
        }
    }

    /// Puts runs of a file over what is there.
    void addRuns(Path file, List<Backing.Run> runs) throws IOException {
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            for (Backing.Run run : runs) {
                MemorySegment to = at(file, run.offset(), run.length());
                MemoryFile.readAll(fd, to, run.offset());
            }
        }
    }

    private MemorySegment at(Path file, long offset, long length) throws SnapshotException {
        long begin = 0;
        for (GuestRange range : memory.ranges()) {
            long from = offset - begin;
            if (from >= 0 && length >= 0 && from < range.size() && length <= range.size() - from) {
                return memory.slice(range.base() + from, length);
            }
            begin += range.size();
        }
        throw new SnapshotException(
                file, "0x%x bytes at 0x%x are not in the memory".formatted(length, offset));
    }
}
