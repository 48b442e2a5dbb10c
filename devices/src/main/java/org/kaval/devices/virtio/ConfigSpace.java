package org.kaval.devices.virtio;

/// A device's configuration space (§2.5): little-endian fields, which the driver reads in pieces of
/// any size.
///
/// Whoever fills it does so before the driver sees it, and in {@link VirtioLink#changeConfig}
/// later.
public final class ConfigSpace {
    /// The most that there is room for.
    public static final int MAX_SIZE = 0x1000;

    private final byte[] bytes;

    /// @param size in bytes, at most {@link #MAX_SIZE}
    public ConfigSpace(int size) {
        if (size < 0 || size > MAX_SIZE) {
            throw new IllegalArgumentException("no size of a configuration space: " + size);
        }
        bytes = new byte[size];
    }

    public int size() {
        return bytes.length;
    }

    /// Sets a field.
    ///
    /// @param size 1, 2, 4 or 8 bytes
    /// @return this
    public ConfigSpace set(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            bytes[offset + i] = (byte) (value >>> (i * Byte.SIZE));
        }
        return this;
    }

    byte[] toBytes() {
        return bytes.clone();
    }

    /// Reads `size` bytes; what is behind the end is zero.
    public long get(long offset, int size) {
        long value = 0;
        for (int i = 0; i < size && offset + i < bytes.length; i++) {
            value |= (bytes[(int) offset + i] & 0xffL) << (i * Byte.SIZE);
        }
        return value;
    }
}
