package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.Optional;
import org.kaval.linux.abi.LinuxAbi;

/// Reads, writes and flushes that the kernel does while this thread goes on (io_uring(7)).
///
/// What is begun is told to the kernel by {@link #submit} or {@link #await}, and has a result each,
/// in any order: {@link #next}, {@link #token}, {@link #result}. What an operation works on has to
/// stay as it is until its result has been taken. One thread at a time; nothing but {@link #open}
/// allocates.
public final class IoUring implements AutoCloseable {
    /// How many operations may be under way at once at most.
    public static final int MAX_ENTRIES = 4096;

    // linux/io_uring.h
    static final int IORING_OP_READV = 1;
    static final int IORING_OP_WRITEV = 2;
    static final int IORING_OP_FSYNC = 3;
    static final int IORING_OP_POLL_ADD = 6;
    static final int IORING_FSYNC_DATASYNC = 1;
    static final int IORING_ENTER_GETEVENTS = 1;
    static final int IORING_FEAT_SINGLE_MMAP = 1;
    static final int IORING_FEAT_NODROP = 1 << 1;
    static final int IORING_FEAT_SUBMIT_STABLE = 1 << 2;
    static final int IORING_OFF_SQES = 0x1000_0000;

    /// One mapping has both rings, no result is lost, and what a vector names is read when it is
    /// submitted: Linux 5.5 (io_uring_setup(2)).
    private static final int FEATURES =
            IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;

    // struct io_uring_params, with struct io_sqring_offsets and struct io_cqring_offsets in it
    static final int PARAMS = 120;
    static final int SQ_ENTRIES = 0;
    static final int CQ_ENTRIES = 4;
    static final int PARAM_FEATURES = 20;
    static final int SQ_TAIL = 44;
    static final int SQ_MASK = 48;
    static final int SQ_ARRAY = 64;
    static final int CQ_HEAD = 80;
    static final int CQ_TAIL = 84;
    static final int CQ_MASK = 88;
    static final int CQ_CQES = 100;

    // struct io_uring_sqe
    static final int SQE = 64;
    static final int SQE_OPCODE = 0;
    static final int SQE_FD = 4;
    static final int SQE_OFF = 8;
    static final int SQE_ADDR = 16;
    static final int SQE_LEN = 24;
    static final int SQE_OP_FLAGS = 28;
    static final int SQE_USER_DATA = 32;

    // struct io_uring_cqe
    static final int CQE = 16;
    static final int CQE_USER_DATA = 0;
    static final int CQE_RES = 8;

    private static final VarHandle INDEX = JAVA_INT.varHandle();

    private final Fd fd;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment rings;
    private final MemorySegment operations;
    private final int entries;
    private final long submissionTail;
    private final int submissionMask;
    private final long completionHead;
    private final long completionTail;
    private final long completions;
    private final int completionMask;
    private int begun; // what the kernel has not been told of
    private int tail;
    private int head;
    private long token;
    private int result;

    private IoUring(Fd fd, MemorySegment params) throws ErrnoException {
        this.fd = fd;
        entries = params.get(JAVA_INT, SQ_ENTRIES);
        long array = Integer.toUnsignedLong(params.get(JAVA_INT, SQ_ARRAY));
        completions = Integer.toUnsignedLong(params.get(JAVA_INT, CQ_CQES));
        long size =
                Math.max(
                        array + (long) entries * Integer.BYTES,
                        completions + (long) params.get(JAVA_INT, CQ_ENTRIES) * CQE);
        boolean mapped = false;
        try {
            rings = Mmap.shared(arena, fd, 0, size);
            operations = Mmap.shared(arena, fd, IORING_OFF_SQES, (long) entries * SQE);
            mapped = true;
        } finally {
            if (!mapped) {
                arena.close();
            }
        }
        submissionTail = params.get(JAVA_INT, SQ_TAIL);
        submissionMask = rings.get(JAVA_INT, params.get(JAVA_INT, SQ_MASK));
        completionHead = params.get(JAVA_INT, CQ_HEAD);
        completionTail = params.get(JAVA_INT, CQ_TAIL);
        completionMask = rings.get(JAVA_INT, params.get(JAVA_INT, CQ_MASK));
        for (int i = 0; i < entries; i++) {
            rings.set(JAVA_INT, array + (long) i * Integer.BYTES, i); // each in its own place
        }
    }

    /// Whether the kernel has it and allows it.
    public static boolean isAvailable() {
        Optional<IoUring> ring = open(1);
        ring.ifPresent(IoUring::close);
        return ring.isPresent();
    }

    /// Makes one, if the kernel has it and allows it: containers often do not.
    ///
    /// @param entries how many operations may be under way at once, 1 to {@link #MAX_ENTRIES}
    public static Optional<IoUring> open(int entries) {
        if (entries < 1 || entries > MAX_ENTRIES) {
            throw new IllegalArgumentException(entries + " entries");
        }
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment params = temporary.allocate(PARAMS, Long.BYTES);
            long number =
                    Syscall.call(Syscall.IO_URING_SETUP, entries, params.address(), 0, 0, 0, 0);
            return number < 0 ? Optional.empty() : open(new Fd("io_uring", number), params);
        }
    }

    private static Optional<IoUring> open(Fd fd, MemorySegment params) {
        boolean kept = false;
        try {
            if ((params.get(JAVA_INT, PARAM_FEATURES) & FEATURES) == FEATURES) {
                var ring = new IoUring(fd, params);
                kept = true;
                return Optional.of(ring);
            }
            return Optional.empty();
        } catch (ErrnoException e) {
            return Optional.empty(); // its memory counts against RLIMIT_MEMLOCK in old kernels
        } finally {
            if (!kept) {
                fd.close();
            }
        }
    }

    /// Begins to read from `offset` of `file` on into all of `into`. The result is what {@link
    /// Fd#preadv} returns.
    public void read(Fd file, IoVector into, long offset, long token) {
        vectored(IORING_OP_READV, file, into, offset, token);
    }

    /// Begins to write all of `source` to `offset` of `file`. The result is what {@link Fd#pwritev}
    /// returns.
    public void write(Fd file, IoVector source, long offset, long token) {
        vectored(IORING_OP_WRITEV, file, source, offset, token);
    }

    /// Begins to put on the disk what has been written before to `file` (fdatasync(2)); the result
    /// is 0.
    public void flush(Fd file, long token) {
        begin(IORING_OP_FSYNC, file, 0, 0, 0, IORING_FSYNC_DATASYNC, token);
    }

    /// Begins to wait until there is something to read from `file`, once; the result is a mask of
    /// poll(2).
    void poll(Fd file, long token) {
        begin(IORING_OP_POLL_ADD, file, 0, 0, 0, LinuxAbi.EPOLLIN(), token);
    }

    private void vectored(int operation, Fd file, IoVector vector, long offset, long token) {
        if (vector.count() == 0) {
            throw new IllegalArgumentException("nothing to read or write");
        }
        begin(operation, file, vector.address(), vector.count(), offset, 0, token);
    }

    private void begin(
            int operation,
            Fd file,
            long address,
            int length,
            long offset,
            int flags,
            long newToken) {
        if (begun == entries) {
            throw new IllegalStateException("more than %d operations at once".formatted(entries));
        }
        long at = (long) (tail & submissionMask) * SQE;
        for (int i = 0; i < SQE; i += Long.BYTES) {
            operations.set(JAVA_LONG, at + i, 0);
        }
        operations.set(JAVA_BYTE, at + SQE_OPCODE, (byte) operation);
        operations.set(JAVA_INT, at + SQE_FD, file.number());
        operations.set(JAVA_LONG, at + SQE_OFF, offset);
        operations.set(JAVA_LONG, at + SQE_ADDR, address);
        operations.set(JAVA_INT, at + SQE_LEN, length);
        operations.set(JAVA_INT, at + SQE_OP_FLAGS, flags);
        operations.set(JAVA_LONG, at + SQE_USER_DATA, newToken);
        tail++;
        begun++;
        INDEX.setRelease(rings, submissionTail, tail);
    }

    /// Tells the kernel of what has been begun.
    public void submit() {
        if (begun > 0) {
            enter(0);
        }
    }

    /// {@link #submit}, and waits until there is a result to take, or a POSIX signal comes.
    public void await() {
        if (hasResult()) {
            submit();
        } else {
            enter(1);
        }
    }

    private void enter(int results) {
        do {
            long taken =
                    Syscall.call(
                            Syscall.IO_URING_ENTER,
                            fd.number(),
                            begun,
                            results,
                            results > 0 ? IORING_ENTER_GETEVENTS : 0,
                            0,
                            0);
            if (taken == -Errno.EINTR) {
                return;
            }
            if (taken < 0 && taken != -Errno.EAGAIN && taken != -Errno.EBUSY) {
                // the descriptor is ours and open: nothing else can go wrong
                throw new IllegalStateException("io_uring_enter: " + Errno.name((int) -taken));
            }
            begun -= (int) Math.max(taken, 0); // the kernel may be short of memory for the rest
        } while (begun > 0 && !hasResult());
    }

    /// Whether there is a result to take. Asks nobody: it reads memory.
    public boolean hasResult() {
        return (int) INDEX.getAcquire(rings, completionTail) != head;
    }

    /// Takes a result.
    ///
    /// @return false if there is none
    public boolean next() {
        if (!hasResult()) {
            return false;
        }
        long at = completions + (long) (head & completionMask) * CQE;
        token = rings.get(JAVA_LONG, at + CQE_USER_DATA);
        result = rings.get(JAVA_INT, at + CQE_RES);
        head++;
        INDEX.setRelease(rings, completionHead, head);
        return true;
    }

    /// What the operation was given whose result was taken last.
    public long token() {
        return token;
    }

    /// The result that was taken last: what the system call returns, or `-errno`.
    public int result() {
        return result;
    }

    /// No read, write or flush may be under way.
    @Override
    public void close() {
        fd.close();
        arena.close();
    }
}
