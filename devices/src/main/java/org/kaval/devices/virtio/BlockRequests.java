package org.kaval.devices.virtio;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.kaval.devices.RateLimit;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.RingAccess;
import org.kaval.linux.IoUring;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;

/// What one thread of a disk does with requests (§5.2.6).
///
/// ```
/// readable { le32 type; le32 reserved; le64 sector; data that is written, or segments }
/// writable { data that is read; u8 status }
/// segment  { le64 sector; le32 sectors; le32 flags }
/// ```
///
/// A request that makes no sense fails by its status; one in which there is no room for a status is
/// a breach of the rules.
final class BlockRequests implements QueueThreads.Handler {
    /// How long an identity is (§5.2.6).
    static final int ID_SIZE = 20;

    static final int T_IN = 0;
    static final int T_OUT = 1;
    static final int T_FLUSH = 4;
    static final int T_GET_ID = 8;
    static final int T_DISCARD = 11;
    static final int T_WRITE_ZEROES = 13;

    static final int S_OK = 0;
    static final int S_IOERR = 1;
    static final int S_UNSUPP = 2;

    private static final int HEADER = 16;
    private static final int SEGMENT = 16;
    private static final int UNMAP = 1;
    private static final int SECTOR = VirtioBlock.SECTOR;

    /// A guest can make errors for ever; the log is told of the first few of a thread.
    private static final int LOGGED_ERRORS = 4;

    private static final Logger LOG = System.getLogger(BlockRequests.class.getName());

    private final VirtioBlock disk;
    private final BlockImage image;
    private final RateLimit limit;
    private final byte[] id;
    private final IoVector vector = new IoVector(VirtioBlock.QUEUE_SIZE + 2);
    private final AtomicInteger errors = new AtomicInteger();
    private int begun; // the type of the request that is in a ring

    BlockRequests(VirtioBlock disk, BlockImage image, RateLimit limit, String serial) {
        this.disk = disk;
        this.image = image;
        this.limit = limit;
        this.id = Arrays.copyOf(serial.getBytes(StandardCharsets.US_ASCII), ID_SIZE);
    }

    /// Reads what the host has in its page cache.
    @Override
    public long tryHandle(DescriptorChain request) {
        checkSize(request);
        GuestBuffers in = request.readable();
        GuestBuffers out = request.writable();
        long data = out.size() - 1;
        if (in.readLe32(0) != T_IN || isWrongWayRound(T_IN, request) || !limit.isUnlimited()) {
            return WOULD_WAIT;
        }
        long sector = in.readLe64(8);
        if (!isOnDisk(sector, data)) {
            return WOULD_WAIT;
        }
        vector.clear();
        out.addTo(vector, 0, data);
        try {
            if (!image.tryRead(sector * SECTOR, vector, 0, data)) {
                return WOULD_WAIT;
            }
        } catch (IOException e) {
            return WOULD_WAIT; // handle will meet it, too
        }
        disk.countRead(data);
        out.writeByte(data, S_OK);
        return out.size();
    }

    private static void checkSize(DescriptorChain request) {
        long in = request.readable().size();
        long out = request.writable().size();
        if (in < HEADER || out < 1) {
            throw new GuestFault(
                    "a request of %d bytes to read and %d to write".formatted(in, out));
        }
    }

    @Override
    public long handle(DescriptorChain request) {
        checkSize(request);
        GuestBuffers in = request.readable();
        GuestBuffers out = request.writable();
        int type = in.readLe32(0);
        long sector = in.readLe64(8);
        long data = type == T_IN ? out.size() - 1 : in.size() - HEADER;
        if (!limit.admit(data)) {
            return 0; // the device is being reset: nobody will look
        }
        int status;
        try {
            status = perform(type, sector, data, request);
        } catch (IOException e) {
            status = failed(e);
        }
        out.writeByte(out.size() - 1, status);
        return out.size();
    }

    /// Begins in `ring` what {@link #tryHandle} has not done.
    ///
    /// @return whether there will be a result, for {@link #end}; else it is for {@link #handle}
    boolean begin(DescriptorChain request, RingAccess access, IoUring ring, long token) {
        GuestBuffers in = request.readable();
        GuestBuffers out = request.writable();
        int type = in.readLe32(0);
        long sector = in.readLe64(8);
        if (isWrongWayRound(type, request)) {
            return false;
        }
        begun = type;
        vector.clear();
        return switch (type) {
            case T_IN -> {
                long data = out.size() - 1;
                yield isOnDisk(sector, data)
                        && add(out, 0, data)
                        && access.read(ring, token, sector * SECTOR, vector);
            }
            case T_OUT -> {
                long data = in.size() - HEADER;
                yield disk.isCached()
                        && !image.readOnly()
                        && isOnDisk(sector, data)
                        && add(in, HEADER, data)
                        && access.write(ring, token, sector * SECTOR, vector);
            }
            case T_FLUSH -> !image.readOnly() && access.flush(ring, token);
            default -> false;
        };
    }

    private boolean add(GuestBuffers buffers, long offset, long data) {
        buffers.addTo(vector, offset, data);
        return true;
    }

    /// Ends what {@link #begin} has begun.
    ///
    /// @return as {@link #handle}
    long end(DescriptorChain request, RingAccess access, int result) {
        GuestBuffers out = request.writable();
        int status = S_OK;
        if (begun == T_FLUSH) {
            try {
                access.flushed(result);
            } catch (IOException e) {
                status = failed(e);
            }
        } else if (result != vector.byteSize()) {
            return handle(request); // cut short, or refused: that says why
        } else if (begun == T_IN) {
            disk.countRead(result);
        } else {
            disk.countWrite(result);
        }
        out.writeByte(out.size() - 1, status);
        return out.size();
    }

    private int failed(IOException e) {
        if (errors.incrementAndGet() <= LOGGED_ERRORS) {
            LOG.log(Level.WARNING, "{0}: {1}", disk.name(), e.getMessage());
        }
        return S_IOERR;
    }

    private int perform(int type, long sector, long data, DescriptorChain request)
            throws IOException {
        GuestBuffers in = request.readable();
        if (isWrongWayRound(type, request)) {
            return S_IOERR; // and not the success of having done nothing
        }
        return switch (type) {
            case T_IN -> read(sector, data, request.writable());
            case T_OUT -> write(sector, data, in);
            case T_FLUSH -> flush();
            case T_GET_ID -> identify(request.writable());
            case T_DISCARD, T_WRITE_ZEROES -> clear(type, data, in);
            default -> S_UNSUPP;
        };
    }

    /// Whether there is data where the other way's would be (§2.7.4.2).
    private static boolean isWrongWayRound(int type, DescriptorChain request) {
        return switch (type) {
            case T_IN -> request.readable().size() > HEADER;
            case T_OUT, T_DISCARD, T_WRITE_ZEROES -> request.writable().size() > 1;
            default -> false;
        };
    }

    private int read(long sector, long data, GuestBuffers out) throws IOException {
        if (!isOnDisk(sector, data)) {
            return S_IOERR;
        }
        vector.clear();
        out.addTo(vector, 0, data);
        image.read(sector * SECTOR, vector);
        disk.countRead(data);
        return S_OK;
    }

    private int write(long sector, long data, GuestBuffers in) throws IOException {
        if (image.readOnly() || !isOnDisk(sector, data)) {
            return S_IOERR;
        }
        vector.clear();
        in.addTo(vector, HEADER, data);
        image.write(sector * SECTOR, vector);
        disk.countWrite(data);
        return afterChange();
    }

    private int flush() throws IOException {
        image.flush();
        return S_OK;
    }

    private int afterChange() throws IOException {
        return disk.isCached() ? S_OK : flush();
    }

    private int identify(GuestBuffers out) {
        long room = Math.min(ID_SIZE, out.size() - 1);
        for (int i = 0; i < room; i++) {
            out.writeByte(i, id[i]);
        }
        return S_OK;
    }

    /// Flags are looked at before anything is done; what else is wrong ends it where it is found.
    private int clear(int type, long data, GuestBuffers in) throws IOException {
        long count = data / SEGMENT;
        if (image.readOnly()
                || data % SEGMENT != 0
                || count < 1
                || count > VirtioBlock.MAX_SEGMENTS) {
            return S_IOERR;
        }
        for (int i = 0; i < count; i++) {
            int flags = in.readLe32(HEADER + (long) SEGMENT * i + 12);
            int known = type == T_WRITE_ZEROES ? UNMAP : 0;
            if ((flags & ~known) != 0) {
                return S_UNSUPP; // §5.2.6.2
            }
        }
        for (int i = 0; i < count; i++) {
            long at = HEADER + (long) SEGMENT * i;
            long sector = in.readLe64(at);
            long sectors = Integer.toUnsignedLong(in.readLe32(at + 8));
            boolean mayUnmap = (in.readLe32(at + 12) & UNMAP) != 0;
            if (sectors > VirtioBlock.MAX_SECTORS_OF_SEGMENT
                    || !isOnDisk(sector, sectors * SECTOR)) {
                return S_IOERR;
            }
            if (type == T_DISCARD) {
                image.discard(sector * SECTOR, sectors * SECTOR);
            } else {
                image.writeZeroes(sector * SECTOR, sectors * SECTOR, mayUnmap);
            }
        }
        return afterChange();
    }

    /// No sum or product is formed of the guest's numbers before they are known to be small.
    private boolean isOnDisk(long sector, long bytes) {
        return bytes % SECTOR == 0 && sector >= 0 && sector <= disk.sectors() - bytes / SECTOR;
    }
}
