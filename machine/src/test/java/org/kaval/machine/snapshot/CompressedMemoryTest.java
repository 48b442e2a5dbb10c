package org.kaval.machine.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.Zstd;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.testing.Effort;
import org.kaval.vcpu.Topology;

/// Snapshots with compressed memory. Needs no KVM.
class CompressedMemoryTest {
    private static final int PAGE = 4096;

    /// Two regions, of which the first needs several pieces.
    private static final List<GuestRange> RANGES =
            List.of(new GuestRange(0, 5 << 20), new GuestRange(4L << 30, 128 << 10));

    private static final int FRAME = 24; // where the first one begins

    @TempDir private Path parent = Path.of("");
    private final Random random = new Random(1);

    private Path folder() {
        return parent.resolve("snapshot");
    }

    private static List<Path> memories(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith("memory-"))
                    .toList();
        }
    }

    private Path memory() throws IOException {
        return memories(folder()).getFirst();
    }

    private String refusal() {
        String message =
                String.valueOf(
                        assertThrows(
                                        SnapshotException.class,
                                        () -> Snapshot.read(folder()).openMemory())
                                .getMessage());
        assertTrue(message.startsWith(folder() + "/memory-"), message);
        assertFalse(message.contains("\n"), message);
        return message.replaceFirst(".*\\.zst: ", "");
    }

    @Test
    void whatIsCompressedIsReadBack() throws IOException {
        Samples.write(folder(), 7);
        Samples.write(folder(), 8, MemoryCompression.ZSTD);

        assertEquals(8, Samples.number(folder()));
        assertEquals(1, memories(folder()).size());
        assertTrue(memory().toString().endsWith(".zst"));
        assertTrue(Files.size(memory()) < 4096, Files.size(memory()) + " bytes");
    }

    @Test
    void snapshotOfTheThirdFormatIsStillUnderstood() throws IOException {
        Path old =
                Path.of(System.getProperty("basedir", "")).resolve("src/test/snapshots/format-3");
        assertEquals(3, Samples.number(old));
    }

    /// Random pages, some zero, over a snapshot with others, each compressed or not.
    @ParameterizedTest
    @CsvSource({"NONE, ZSTD", "ZSTD, NONE", "ZSTD, ZSTD"})
    void memoryOverAnotherIsReadBack(MemoryCompression below, MemoryCompression above)
            throws IOException {
        try (GuestMemory memory = GuestMemory.allocate(RANGES, Backing.anonymous())) {
            change(memory);
            write(parent.resolve("base"), memory, null, below);
            change(memory);
            write(folder(), memory, Snapshot.read(parent.resolve("base")), above);

            Snapshot snapshot = Snapshot.read(folder());
            snapshot.checkMemory();
            try (GuestMemory restored = snapshot.openMemory()) {
                for (GuestRange range : RANGES) {
                    assertArrayEquals(bytes(memory, range), bytes(restored, range));
                }
            }
        }
    }

    private void change(GuestMemory memory) {
        var page = new byte[PAGE];
        for (GuestRange range : RANGES) {
            for (long at = 0; at < range.size(); at += PAGE) {
                int dice = random.nextInt(8);
                if (dice < 2) {
                    random.nextBytes(page);
                    memory.write(range.base() + at, page);
                } else if (dice < 4) {
                    memory.write(range.base() + at, new byte[PAGE]);
                }
            }
        }
    }

    private static byte[] bytes(GuestMemory memory, GuestRange range) {
        var bytes = new byte[(int) range.size()];
        memory.read(range.base(), bytes);
        return bytes;
    }

    private static void write(
            Path folder, GuestMemory memory, @Nullable Snapshot base, MemoryCompression compression)
            throws IOException {
        try (SnapshotWriter writer = SnapshotWriter.begin(folder, false, Checkpoint.NONE)) {
            writer.writeState(Map.of());
            try (MemoryCopy copy = writer.beginMemory(memory, base)) {
                copy.writeAll();
                writer.finishMemory(copy, compression);
            }
            writer.commit(
                    new Topology(1, 1, 1),
                    Samples.CPU,
                    new BootDescription(null, null, false),
                    Map.of());
        }
    }

    @Test
    void alteredByteIsRefused() throws IOException {
        Samples.write(folder(), 1, MemoryCompression.ZSTD);
        byte[] whole = Files.readAllBytes(memory());
        for (int i = 0; i < Effort.times(1000); i++) {
            byte[] bytes = whole.clone();
            bytes[random.nextInt(bytes.length)] ^= (byte) (1 + random.nextInt(255));
            Files.write(memory(), bytes);

            String refusal = refusal();
            assertTrue(
                    refusal.startsWith("altered: ") || refusal.endsWith("are not in the memory"),
                    refusal);
            assertThrows(SnapshotException.class, Snapshot.read(folder())::checkMemory);
        }
        Files.write(memory(), whole);
        assertEquals(1, Samples.number(folder()));
    }

    /// Whoever writes a manifest can write its sum, too: here, of one piece that is not right.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0 | 0 | altered: there is no piece where one should be",
                "4 | 17 | altered: there is no piece where one should be",
                "8 | 0x110000 | 0x1000 bytes at 0x110000 are not in the memory",
                "8 | 0xff800 | 0x1000 bytes at 0xff800 are not in the memory", // two regions
                "8 | 0x8000000000000000 | 0x1000 bytes at 0x8000000000000000 are not in the memory",
                "16 | 0 | altered: a piece of 0 bytes",
                "16 | 0x101000 | altered: a piece of 1052672 bytes",
                "16 | 0x1001 | altered: a piece of 4097 bytes",
                "16 | 0xfffff000 | altered: a piece of 4294963200 bytes",
                "16 | 0x2000 | altered: 4096 bytes, where there should be 8192",
                "20 | 0xffffffff | altered: a frame of 4294967295 bytes",
                "20 | 1000 | altered: a frame of 1000 bytes",
                "24 | 0 | altered: not as Zstandard has it: Unknown frame descriptor"
            })
    void pieceThatIsNotRightIsRefused(int field, String value, String refusal) throws IOException {
        Samples.write(folder(), 1, MemoryCompression.ZSTD);
        byte[] piece = piece();
        ByteBuffer fields = ByteBuffer.wrap(piece).order(ByteOrder.LITTLE_ENDIAN);
        if (field == 8) {
            fields.putLong(field, Long.parseUnsignedLong(value.replace("0x", ""), 16));
        } else {
            fields.putInt(field, Long.decode(value).intValue());
        }
        replaceMemory(piece);

        assertEquals(refusal, refusal());
    }

    /// A page of ones at offset 0.
    private static byte[] piece() {
        var page = new byte[PAGE];
        Arrays.fill(page, (byte) 1);
        byte[] frame = Zstd.compress(page);
        return ByteBuffer.allocate(FRAME + frame.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(0x184d_2a50)
                .putInt(16)
                .putLong(0)
                .putInt(PAGE)
                .putInt(frame.length)
                .put(frame)
                .array();
    }

    private void replaceMemory(byte[] bytes) throws IOException {
        Path manifest = folder().resolve(Manifest.NAME);
        String text = Files.readString(manifest);
        long size = Files.size(memory());
        String body = text.substring(0, text.lastIndexOf(",\n  \"checksum\"")) + "\n}\n";
        int sum = Manifest.crc32c(Files.readAllBytes(memory()), 0, (int) size);
        int newSum = Manifest.crc32c(bytes, 0, bytes.length);
        String changed =
                body.replace("\"size\" : " + size + ",", "\"size\" : " + bytes.length + ",")
                        .replace("0x%08x".formatted(sum), "0x%08x".formatted(newSum));
        Files.write(memory(), bytes);
        Files.write(manifest, Manifest.seal(changed.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void whatIsCutShortIsRefused() throws IOException {
        Samples.write(folder(), 1, MemoryCompression.ZSTD);
        byte[] bytes = Files.readAllBytes(memory());
        Files.write(memory(), Arrays.copyOf(bytes, bytes.length - 1));
        assertEquals(
                "%d bytes, where there should be %d".formatted(bytes.length - 1, bytes.length),
                refusal());
    }

    @Test
    void compressionThatIsGivenUpAnywhereLeavesTheEarlierSnapshot() throws IOException {
        Samples.write(folder(), 1);
        int last = 0;
        while (Samples.givesUp(folder(), last, MemoryCompression.ZSTD)) {
            assertEquals(1, Samples.number(folder()));
            assertEquals(1, memories(folder()).size());
            last++;
        }
        assertEquals(2, Samples.number(folder()));
        assertEquals(1, memories(folder()).size());
    }

    @Test
    void gapsAreJoinedAndRegionsAreNot() throws IOException {
        try (Fd file = Fd.temporary(parent, "extents")) {
            file.ftruncate(1 << 20);
            var page = Arena.ofAuto().allocate(PAGE).fill((byte) 1);
            for (long at : new long[] {0, 0x2000, 0x40000, 0x7f000, 0x80000}) {
                MemoryFile.writeAll(file, page, at);
            }
            var found = new StringBuilder();
            FileExtents.forEach(
                    file,
                    List.of(0x80000L, 0x80000L),
                    0x1000,
                    (offset, length) -> found.append("%x+%x ".formatted(offset, length)));
            assertEquals("0+3000 40000+1000 7f000+1000 80000+1000 ", found.toString());
        }
    }
}
