package org.kaval.devices.virtio;

import java.util.Arrays;
import org.kaval.linux.IoVector;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// Pieces of guest memory that are one sequence of bytes: what a device reads of a request, or what
/// it writes. How a driver cuts it up has no meaning (§2.6.4).
///
/// All of it is RAM. The guest can change the bytes at any time, so each is read once. One thread;
/// accesses to numbers allocate nothing.
public final class GuestBuffers {
    private static final int FEW = 8;

    private final GuestMemory memory;
    private long[] addresses = new long[FEW];
    private long[] lengths = new long[FEW];
    private int count;
    private long size;
    private int located;

    GuestBuffers(GuestMemory memory) {
        this.memory = memory;
    }

    void clear() {
        count = 0;
        size = 0;
    }

    /// Adds a piece at the end. How many there can be, the caller limits.
    ///
    /// @param length at least 1
    /// @throws GuestFault if any byte of it is not RAM
    void add(long address, long length) {
        if (!memory.holds(address, length)) {
            throw new GuestFault("no RAM at 0x%x+0x%x".formatted(address, length));
        }
        if (count == addresses.length) {
            addresses = Arrays.copyOf(addresses, 2 * count);
            lengths = Arrays.copyOf(lengths, 2 * count);
        }
        addresses[count] = address;
        lengths[count] = length;
        count++;
        size += length;
    }

    /// How many bytes they have together.
    public long size() {
        return size;
    }

    /// How many pieces there are.
    public int count() {
        return count;
    }

    /// The guest-physical address of piece `index`.
    public long address(int index) {
        return addresses[index];
    }

    /// How many bytes piece `index` has, at least 1.
    public long length(int index) {
        return lengths[index];
    }

    /// Reads one byte, unsigned.
    ///
    /// @throws GuestFault if the request has not so many
    public int readByte(long offset) {
        return memory.readByte(locate(offset, 1));
    }

    /// Reads four bytes.
    ///
    /// @throws GuestFault if the request has not so many
    public int readLe32(long offset) {
        return (int) readLe(offset, Integer.BYTES);
    }

    /// Reads eight bytes.
    ///
    /// @throws GuestFault if the request has not so many
    public long readLe64(long offset) {
        return readLe(offset, Long.BYTES);
    }

    /// Writes one byte.
    ///
    /// @throws GuestFault if the driver has given no room for it
    public void writeByte(long offset, int value) {
        memory.writeByte(locate(offset, 1), value);
    }

    /// Fills `into` with what is at `offset`.
    ///
    /// @throws GuestFault if the request has not so many
    public void read(long offset, byte[] into) {
        read(offset, into, 0, into.length);
    }

    /// Fills `into[from, from + length)` with what is at `offset`. Allocates nothing.
    ///
    /// @throws GuestFault if the request has not so many
    public void read(long offset, byte[] into, int from, int length) {
        check(offset, length);
        for (int done = 0; done < length; ) {
            long address = locate(offset + done, 1);
            int here = (int) Math.min(restOfPiece(address), length - done);
            memory.read(address, into, from + done, here);
            done += here;
        }
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// @throws GuestFault if the driver has given no room for it
    public void write(long offset, byte[] bytes) {
        write(offset, bytes, 0, bytes.length);
    }

    /// Writes `bytes[from, from + length)` at `offset`. Allocates nothing.
    ///
    /// @throws GuestFault if the driver has given no room for it
    public void write(long offset, byte[] bytes, int from, int length) {
        check(offset, length);
        for (int done = 0; done < length; ) {
            long address = locate(offset + done, 1);
            int here = (int) Math.min(restOfPiece(address), length - done);
            memory.write(address, bytes, from + done, here);
            done += here;
        }
    }

    /// Appends bytes `from` to `from + length` to `vector`, in place. Whoever has them written says
    /// so by {@link VirtQueue#complete}.
    ///
    /// @throws GuestFault if there are not so many
    public void addTo(IoVector vector, long from, long length) {
        check(from, length);
        long skip = from;
        long left = length;
        for (int i = 0; left > 0; i++) {
            long here = Math.min(lengths[i] - skip, left);
            if (here > 0) {
                memory.addTo(vector, addresses[i] + skip, here);
                left -= here;
                skip = 0;
            } else {
                skip -= lengths[i];
            }
        }
    }

    /// Notes for whoever tracks dirty pages that the first `length` bytes have been written.
    void markDirty(long length) {
        long left = length;
        for (int i = 0; i < count && left > 0; i++) {
            memory.markDirty(addresses[i], Math.min(lengths[i], left));
            left -= lengths[i];
        }
    }

    private long readLe(long offset, int bytes) {
        long address = locate(offset, bytes);
        if (restOfPiece(address) >= bytes) {
            return bytes == Long.BYTES ? memory.readLe64(address) : memory.readLe32(address);
        }
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value |= (long) readByte(offset + i) << (i * Byte.SIZE);
        }
        return value;
    }

    /// How many bytes there are from `address` on in the piece that was located last.
    private long restOfPiece(long address) {
        return addresses[located] + lengths[located] - address;
    }

    /// The address of the byte at `offset`, of `length` that are wanted; its piece is {@link
    /// #located} then.
    private long locate(long offset, int length) {
        check(offset, length);
        int piece = 0;
        long within = offset;
        while (within >= lengths[piece]) {
            within -= lengths[piece];
            piece++;
        }
        located = piece;
        return addresses[piece] + within;
    }

    private void check(long offset, long length) {
        if (offset < 0 || offset > size - length) {
            throw new GuestFault(
                    "a request has %d bytes where %d at %d are needed"
                            .formatted(size, length, offset));
        }
    }
}
