package org.kaval.machine.snapshot;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.kaval.devices.Checkpoint;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// Snapshots of no machine, each of a number that is in all of its parts.
final class Samples {
    static final List<GuestRange> RANGES =
            List.of(new GuestRange(0, 1 << 20), new GuestRange(4L << 30, 64 << 10));
    static final CpuFeatures CPU = new CpuFeatures(Map.of("0x1.0.ecx", 0x1001), 48);
    static final BootDescription BOOT =
            new BootDescription(Path.of("/boot/vmlinuz"), "console=ttyS0 \"ä\"", true);

    private static final long HIGH = 4L << 30;
    private static final int STEP = 0x9000;

    private Samples() {}

    static void write(Path directory, int number) throws IOException {
        write(directory, number, MemoryCompression.NONE);
    }

    static void write(Path directory, int number, MemoryCompression compression)
            throws IOException {
        try (SnapshotWriter writer = SnapshotWriter.begin(directory, true, Checkpoint.NONE)) {
            commit(writer, number, compression);
        }
    }

    /// Whether writing 2 has come to checkpoint `last` and ended there.
    static boolean givesUp(Path directory, int last, MemoryCompression compression)
            throws IOException {
        var passed = new AtomicInteger();
        Checkpoint checkpoint =
                () -> {
                    if (passed.getAndIncrement() == last) {
                        throw new InterruptedIOException("enough");
                    }
                };
        try (SnapshotWriter writer = SnapshotWriter.begin(directory, true, checkpoint)) {
            commit(writer, 2, compression);
            return false;
        } catch (InterruptedIOException e) {
            return true;
        }
    }

    static void commit(SnapshotWriter writer, int number) throws IOException {
        commit(writer, number, MemoryCompression.NONE);
    }

    static void commit(SnapshotWriter writer, int number, MemoryCompression compression)
            throws IOException {
        var bytes = new byte[300];
        bytes[299] = (byte) number;
        var state = new LinkedHashMap<String, Object>();
        state.put("number", (long) number);
        state.put("flag", true);
        state.put("bytes", bytes);
        state.put("part", new LinkedHashMap<String, Object>(Map.of("least", Long.MIN_VALUE)));
        try (GuestMemory memory = GuestMemory.allocate(RANGES, Backing.anonymous())) {
            for (long at = 0; at < 1 << 20; at += STEP) {
                memory.writeLe64(at + 8, number);
            }
            memory.writeLe64(HIGH + 0xfff8, number);
            writer.writeState(state);
            try (MemoryCopy copy = writer.beginMemory(memory, null)) {
                copy.writeAll();
                writer.finishMemory(copy, compression);
            }
            writer.commit(
                    new Topology(1, 2, 1), CPU, BOOT, Map.of("number", Integer.toString(number)));
        }
    }

    /// The number of a snapshot, which is whole.
    ///
    /// @throws IOException if it is not
    static int number(Path directory) throws IOException {
        Snapshot snapshot = Snapshot.read(directory);
        snapshot.checkMemory();
        int number = Integer.parseInt(snapshot.attributes().getOrDefault("number", "-1"));
        if (!Long.valueOf(number).equals(snapshot.state().get("number"))) {
            throw new IOException("a state of another snapshot");
        }
        try (GuestMemory memory = snapshot.openMemory()) {
            for (long at = 0; at < 1 << 20; at += STEP) {
                check(memory, at + 8, number);
                check(memory, at, 0);
            }
            check(memory, HIGH + 0xfff8, number);
        }
        return number;
    }

    private static void check(GuestMemory memory, long address, long value) throws IOException {
        if (memory.readLe64(address) != value) {
            throw new IOException("0x%x is not %d".formatted(address, value));
        }
    }

    /// Writes snapshots 1, 2, … into the folder that is named, and says so for each.
    public static void main(String[] arguments) throws IOException {
        for (int number = 1; number < Integer.MAX_VALUE; number++) {
            write(Path.of(arguments[0]), number);
            System.out.println(number);
        }
    }
}
