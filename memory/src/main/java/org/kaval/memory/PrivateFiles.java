package org.kaval.memory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// Files of which guest memory is made, privately: nobody writes to them, and any number of
/// machines may share them. They are closed when the last of these lets go.
///
/// One thread until it is shared, any then.
final class PrivateFiles {
    /// A part of the memory.
    ///
    /// @param fileOffset where it is in the file, in bytes
    /// @param offset where it is in the memory, the regions one behind the other; in bytes
    /// @param length in bytes; it does not reach into another region
    private record Piece(Fd file, long fileOffset, long offset, long length) {}

    private final List<Fd> owned = new ArrayList<>();
    private final List<Piece> pieces = new ArrayList<>(); // each over those before it
    private int users = 1; // guarded by this

    /// Takes over a file.
    Fd own(Fd file) {
        owned.add(file);
        return file;
    }

    /// @param file of {@link #own}
    void add(Fd file, long fileOffset, long offset, long length) {
        pieces.add(new Piece(file, fileOffset, offset, length));
    }

    /// All of a memory, one range behind the other from `fileOffset` on.
    void addAll(Fd file, long fileOffset, List<GuestRange> ranges) {
        long offset = 0;
        for (GuestRange range : ranges) {
            add(file, fileOffset + offset, offset, range.size());
            offset += range.size();
        }
    }

    synchronized PrivateFiles retain() {
        users++;
        return this;
    }

    synchronized void release() {
        users--;
        if (users == 0) {
            owned.forEach(Fd::close);
        }
    }

    /// Maps memory that has a segment for each range.
    List<MemorySegment> map(Arena arena, List<GuestRange> ranges) throws IOException {
        var memory = new ArrayList<MemorySegment>(ranges.size());
        for (Piece piece : pieces) {
            if (memory.size() < ranges.size()) { // the bottom comes first, a piece for each
                memory.add(Mmap.privateFile(arena, piece.file, piece.fileOffset, piece.length));
            } else {
                put(piece, memory);
            }
        }
        return memory;
    }

    /// Puts the files in the place of what is there.
    void replace(List<MemorySegment> memory) throws IOException {
        for (Piece piece : pieces) {
            put(piece, memory);
        }
    }

    private static void put(Piece piece, List<MemorySegment> memory) throws IOException {
        long at = piece.offset;
        for (MemorySegment region : memory) {
            if (at < region.byteSize()) {
                Mmap.replacePrivate(region, at, piece.file, piece.fileOffset, piece.length);
                return;
            }
            at -= region.byteSize();
        }
    }

    /// Sets a bit for each page of the memory of which the files may have more than zeroes.
    void addUsed(BitSet pages) throws IOException {
        for (Piece piece : pieces) {
            long end = piece.fileOffset + piece.length;
            long from = piece.file.seekData(piece.fileOffset);
            while (from >= 0 && from < end) {
                long to = Math.min(piece.file.seekHole(from), end);
                set(pages, piece.offset - piece.fileOffset, from, to);
                from = to < end ? piece.file.seekData(to) : -1;
            }
        }
    }

    private static void set(BitSet pages, long shift, long from, long to) {
        pages.set(
                Math.toIntExact((from + shift) / Mmap.PAGE_SIZE),
                Math.toIntExact(Math.ceilDiv(to + shift, Mmap.PAGE_SIZE)));
    }
}
