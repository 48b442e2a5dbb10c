package org.kaval.devices.compression;

import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Compressed bytes, read from front to back. One thread.
public final class Input extends InputStream {
    private final ByteBuffer bytes;

    /// @param segment at most 2 GiB
    public Input(MemorySegment segment) {
        bytes = segment.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }

    /// How many have been read.
    public int position() {
        return bytes.position();
    }

    public int remaining() {
        return bytes.remaining();
    }

    /// The bytes themselves, for {@link Output#appendFrom}.
    public ByteBuffer bytes() {
        return bytes;
    }

    /// Fails unless there are `count` bytes more.
    ///
    /// @param what they are, for the message
    public void require(long count, String what) throws CorruptDataException {
        if (count > bytes.remaining()) {
            throw error(
                    "%d bytes are left, expected %d of %s"
                            .formatted(bytes.remaining(), count, what));
        }
    }

    public int u8(String what) throws CorruptDataException {
        require(1, what);
        return Byte.toUnsignedInt(bytes.get());
    }

    public int le16(String what) throws CorruptDataException {
        require(2, what);
        return Short.toUnsignedInt(bytes.getShort());
    }

    public int le24(String what) throws CorruptDataException {
        return le16(what) | (u8(what) << 16);
    }

    public int le32(String what) throws CorruptDataException {
        require(4, what);
        return bytes.getInt();
    }

    public long le64(String what) throws CorruptDataException {
        require(8, what);
        return bytes.getLong();
    }

    /// Goes on behind `count` bytes, which there are.
    public void skip(int count) {
        bytes.position(bytes.position() + count);
    }

    /// Reads `count` bytes, which there are, into the beginning of `into`.
    public void read(byte[] into, int count) {
        bytes.get(into, 0, count);
    }

    /// What to throw when something is wrong here.
    public CorruptDataException error(String problem) {
        return new CorruptDataException(bytes.position(), problem);
    }

    @Override
    public int read() {
        return bytes.hasRemaining() ? Byte.toUnsignedInt(bytes.get()) : -1;
    }

    @Override
    public int read(byte[] into, int offset, int length) {
        if (length == 0) {
            return 0;
        }
        if (!bytes.hasRemaining()) {
            return -1;
        }
        int count = Math.min(length, bytes.remaining());
        bytes.get(into, offset, count);
        return count;
    }
}
