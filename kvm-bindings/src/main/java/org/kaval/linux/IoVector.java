package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Objects;
import org.kaval.linux.abi.iovec;

/// Ranges of memory that one system call reads into or writes from, in this order (readv(2)): guest
/// memory, mostly. It is made once and used again and again: nothing but the constructor allocates.
///
/// One thread at a time. Whoever fills it keeps the arenas of the memory open until the calls on it
/// have returned; memory that the garbage collector frees stays as long as the vector names it.
public final class IoVector {
    /// How many ranges the kernel takes in one call (`UIO_MAXIOV` of linux/uio.h).
    public static final int MAX_COUNT = 1024;

    private static final MemorySegment ZEROES = Arena.global().allocate(1 << 16).asReadOnly();
    private static final long ENTRY = iovec.layout().byteSize();
    private static final long BASE = iovec.iov_base$offset();
    private static final long LENGTH = iovec.iov_len$offset();

    private final MemorySegment entries; // struct iovec[], whose addresses are those of the below
    private final MemorySegment[] bases;
    private final long[] offsets;
    private final long[] lengths;
    private int count;
    private long byteSize;

    /// Makes an empty one.
    ///
    /// @param capacity how many ranges it has room for, at most {@link #MAX_COUNT}
    public IoVector(int capacity) {
        if (capacity < 1 || capacity > MAX_COUNT) {
            throw new IllegalArgumentException(capacity + " ranges");
        }
        entries = Arena.ofAuto().allocate(iovec.layout(), capacity);
        bases = new MemorySegment[capacity];
        offsets = new long[capacity];
        lengths = new long[capacity];
        Arrays.fill(bases, MemorySegment.NULL);
    }

    /// One range: the whole of `memory`.
    public static IoVector of(MemorySegment memory) {
        var vector = new IoVector(1);
        vector.add(memory, 0, memory.byteSize());
        return vector;
    }

    /// Forgets all ranges.
    public void clear() {
        count = 0;
        byteSize = 0;
    }

    /// Appends `length` bytes of `base` from `offset` on; nothing if that is no byte.
    ///
    /// @param base memory outside the Java heap
    /// @throws IndexOutOfBoundsException if the range is not in `base`
    /// @throws IllegalStateException if the vector is full
    public void add(MemorySegment base, long offset, long length) {
        Objects.checkFromIndexSize(offset, length, base.byteSize());
        if (!base.isNative()) {
            throw new IllegalArgumentException("memory of the Java heap");
        }
        if (length == 0) {
            return;
        }
        if (count == bases.length) {
            throw new IllegalStateException("more than %d ranges".formatted(count));
        }
        byteSize = Math.addExact(byteSize, length);
        bases[count] = base;
        offsets[count] = offset;
        lengths[count] = length;
        restore(count++);
    }

    /// Appends bytes `from` to `from + length` of `other`.
    public void add(IoVector other, long from, long length) {
        Objects.checkFromIndexSize(from, length, other.byteSize);
        long skip = from;
        long left = length;
        for (int i = 0; left > 0; i++) {
            long here = Math.min(other.lengths[i] - skip, left);
            if (here > 0) {
                add(other.bases[i], other.offsets[i] + skip, here);
                left -= here;
                skip = 0;
            } else {
                skip -= other.lengths[i];
            }
        }
    }

    /// How many ranges there are.
    public int count() {
        return count;
    }

    /// How many ranges it has room for.
    public int capacity() {
        return bases.length;
    }

    /// How many bytes the ranges have together.
    public long byteSize() {
        return byteSize;
    }

    /// Copies bytes `from` to `from + length` of the ranges to `into`.
    public void copyTo(long from, MemorySegment into, long intoOffset, long length) {
        Objects.checkFromIndexSize(from, length, byteSize);
        long skip = from;
        long done = 0;
        for (int i = 0; done < length; i++) {
            long here = Math.min(lengths[i] - skip, length - done);
            if (here > 0) {
                MemorySegment.copy(bases[i], offsets[i] + skip, into, intoOffset + done, here);
                done += here;
                skip = 0;
            } else {
                skip -= lengths[i];
            }
        }
    }

    /// Copies `length` bytes of `source` to the bytes of the ranges from `at` on.
    public void copyFrom(long at, MemorySegment source, long sourceOffset, long length) {
        Objects.checkFromIndexSize(at, length, byteSize);
        long skip = at;
        long done = 0;
        for (int i = 0; done < length; i++) {
            long here = Math.min(lengths[i] - skip, length - done);
            if (here > 0) {
                MemorySegment.copy(source, sourceOffset + done, bases[i], offsets[i] + skip, here);
                done += here;
                skip = 0;
            } else {
                skip -= lengths[i];
            }
        }
    }

    /// Makes the bytes `from` to `from + length` of the ranges zero.
    public void fillWithZeroes(long from, long length) {
        Objects.checkFromIndexSize(from, length, byteSize);
        long end = from + length;
        for (long at = from; at < end; ) {
            long here = Math.min(ZEROES.byteSize(), end - at);
            copyFrom(at, ZEROES, 0, here);
            at += here;
        }
    }

    /// Whether every range begins at a multiple of `alignment` and has a multiple of it in bytes,
    /// as O_DIRECT wants it.
    ///
    /// @param alignment a power of two
    public boolean isAligned(long alignment) {
        long bits = 0;
        for (int i = 0; i < count; i++) {
            bits |= address(i) | lengths[i];
        }
        return (bits & (alignment - 1)) == 0;
    }

    /// Makes a system call that is given a part of the ranges and a place in a file: preadv(2),
    /// pwritev(2), or preadv2(2), which has flags; readv(2) and writev(2) look at neither. Returns
    /// its result, or `-errno`.
    long call(int systemCall, int descriptor, long from, long length, long fileOffset, int flags) {
        Objects.checkFromIndexSize(from, length, byteSize);
        if (length == 0) {
            return 0;
        }
        if (length == byteSize) {
            return call(systemCall, descriptor, 0, count, fileOffset, flags);
        }
        int first = 0;
        long skip = from;
        while (skip >= lengths[first]) {
            skip -= lengths[first++];
        }
        int last = first;
        long rest = skip + length;
        while (rest > lengths[last]) {
            rest -= lengths[last++];
        }
        // the entries are cut for the call, so that a part needs no vector of its own
        set(last, address(last), rest);
        set(first, address(first) + skip, (first == last ? rest : lengths[first]) - skip);
        try {
            return call(systemCall, descriptor, first, last - first + 1, fileOffset, flags);
        } finally {
            restore(first);
            restore(last);
        }
    }

    private long call(
            int systemCall, int descriptor, int first, int ranges, long fileOffset, int flags) {
        try {
            // the offset's upper half is for machines of 32 bits
            return Syscall.call(
                    systemCall,
                    descriptor,
                    entries.address() + first * ENTRY,
                    ranges,
                    fileOffset,
                    0,
                    flags);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /// Where the kernel finds the ranges, {@link #count} of them.
    long address() {
        return entries.address();
    }

    private void restore(int i) {
        set(i, address(i), lengths[i]);
    }

    private void set(int i, long address, long length) {
        entries.set(JAVA_LONG, i * ENTRY + BASE, address);
        entries.set(JAVA_LONG, i * ENTRY + LENGTH, length);
    }

    private long address(int i) {
        return bases[i].address() + offsets[i];
    }
}
