package org.kaval.devices.platform;

import java.util.List;
import java.util.stream.IntStream;
import org.kaval.devices.Device;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// Port 0x80, to which firmware writes how far it has come (power-on self-test), and where Linux
/// writes to pass a microsecond (`io_delay`).
///
/// | offset | read               | write        |
/// |-------:|--------------------|--------------|
/// |      0 | what was last written | a POST code |
///
/// The last few different codes are kept, for a diagnosis.
///
/// Any thread (guarded by this).
public final class PostCodePort implements Device, Persistent {
    /// Where it is.
    public static final GuestRange PORTS = new GuestRange(0x80, 1);

    private static final int KEPT = 8;

    private final byte[] codes = new byte[KEPT];
    private int count; // of different codes in a row

    /// A port to which nothing has been written.
    public PostCodePort() {}

    /// What was last written, 0 to 255; 0 if nothing was.
    public synchronized int last() {
        return count == 0 ? 0 : Byte.toUnsignedInt(codes[(count - 1) % KEPT]);
    }

    /// The last codes, oldest first; the same one again and again counts once.
    public synchronized List<Integer> recent() {
        return IntStream.range(Math.max(0, count - KEPT), count)
                .mapToObj(i -> Byte.toUnsignedInt(codes[i % KEPT]))
                .toList();
    }

    @Override
    public long read(long offset, int size) {
        return last();
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
        byte code = (byte) value;
        if (count > 0 && codes[(count - 1) % KEPT] == code) {
            return;
        }
        codes[count % KEPT] = code;
        // stays below 2 * KEPT: it does not overflow, and full stays full
        count = count + 1 < 2 * KEPT ? count + 1 : KEPT;
    }

    @Override
    public synchronized void persist(StateFields state) {
        state.fill("codes", codes);
        count = state.number("count", count, 0, 2 * KEPT - 1);
    }

    @Override
    public String toString() {
        return "POST code port";
    }
}
