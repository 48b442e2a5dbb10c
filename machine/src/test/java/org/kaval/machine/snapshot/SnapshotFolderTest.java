package org.kaval.machine.snapshot;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.Checkpoint;
import org.kaval.linux.Fd;
import org.kaval.linux.FileStatus;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.testing.Effort;

/// The folder of a snapshot: it is whole, or it is refused. Needs no KVM.
class SnapshotFolderTest {
    private static final int PAGES_WRITTEN = 30;

    @TempDir private Path parent;

    private Path folder() {
        return parent.resolve("snapshot");
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString())
                    .map(name -> name.replaceFirst("[0-9a-f]{16}", "*"))
                    .sorted()
                    .toList();
        }
    }

    private Path part(String prefix) throws IOException {
        try (Stream<Path> files = Files.list(folder())) {
            return files.filter(file -> file.getFileName().toString().startsWith(prefix))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private String refusal() {
        String message =
                String.valueOf(
                        assertThrows(SnapshotException.class, () -> Snapshot.read(folder()))
                                .getMessage());
        assertTrue(message.startsWith(folder() + "/"), message);
        assertFalse(message.contains("\n"), message);
        return message.substring(folder().toString().length() + 1);
    }

    @Test
    void whatIsWrittenIsReadBack() throws IOException {
        Samples.write(folder(), 7);

        Snapshot snapshot = Snapshot.read(folder());

        assertEquals(7, Samples.number(folder()));
        assertEquals(Samples.RANGES, snapshot.memory());
        assertEquals(Samples.CPU, snapshot.cpu());
        assertEquals(Samples.BOOT, snapshot.boot());
        assertEquals(2, snapshot.topology().vcpus());
        assertEquals(true, snapshot.state().get("flag"));
        assertEquals(Map.of("least", Long.MIN_VALUE), snapshot.state().get("part"));
        byte[] bytes = new byte[300];
        bytes[299] = 7;
        assertArrayEquals(bytes, (byte[]) snapshot.state().get("bytes"));
    }

    @Test
    void memoryTakesNoDiskForZeros() throws IOException {
        Samples.write(folder(), 1);

        try (Fd file = Fd.open(part("memory"), Fd.Access.READ)) {
            FileStatus status = FileStatus.of(file);
            assertEquals((1 << 20) + (64 << 10), status.size());
            assertTrue(status.allocated() <= 2 * PAGES_WRITTEN * 4096, status.toString());
        }
    }

    @Test
    void memoryThatWasNeverTouchedStaysSo() throws IOException {
        List<GuestRange> ranges = List.of(new GuestRange(0, 1L << 30));
        try (GuestMemory memory = GuestMemory.allocate(ranges, new Backing.Memfd());
                SnapshotWriter writer = SnapshotWriter.begin(folder(), true, Checkpoint.NONE)) {
            memory.writeLe64(5 << 20, 1);
            List<GuestRange> used = memory.used();
            try (MemoryCopy copy = writer.beginMemory(memory, null)) {
                assertEquals(4096, copy.writeAll());
            }
            assertEquals(used, memory.used());
        }
    }

    @Test
    void newSnapshotTakesThePlaceOfTheOldAndNothingElseIsLeft() throws IOException {
        Samples.write(folder(), 1);
        Samples.write(folder(), 2);

        assertEquals(2, Samples.number(folder()));
        assertEquals(List.of("lock", "manifest.json", "memory-*", "state-*.json"), names(folder()));
        assertEquals(
                "rwx------",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(folder())));
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(part("memory"))));
    }

    @Test
    void abandonedSnapshotLeavesTheEarlierOne() throws IOException {
        Samples.write(folder(), 1);
        List<String> before = names(folder());

        SnapshotWriter.begin(folder(), true, Checkpoint.NONE).close();

        assertEquals(1, Samples.number(folder()));
        assertEquals(before, names(folder()));
    }

    @Test
    void abandonedFirstSnapshotLeavesNothing() throws IOException {
        SnapshotWriter.begin(folder(), true, Checkpoint.NONE).close();

        assertFalse(Files.exists(folder()));
    }

    @Test
    void snapshotThatIsGivenUpAnywhereLeavesTheEarlierOne() throws IOException {
        Samples.write(folder(), 1);
        List<String> before = names(folder());
        int last = 0;
        while (Samples.givesUp(folder(), last, MemoryCompression.NONE)) {
            assertEquals(1, Samples.number(folder()));
            assertEquals(before, names(folder()));
            last++;
        }
        assertTrue(last > PAGES_WRITTEN, last + " checkpoints");
        assertEquals(2, Samples.number(folder()));
        assertEquals(before, names(folder()));
    }

    @Test
    void oneAtATimeWrites() throws IOException {
        try (SnapshotWriter first = SnapshotWriter.begin(folder(), true, Checkpoint.NONE)) {
            var refusal =
                    assertThrows(
                            SnapshotException.class,
                            () -> SnapshotWriter.begin(folder(), true, Checkpoint.NONE));

            assertEquals(
                    folder() + ": somebody else writes a snapshot there", refusal.getMessage());
            Samples.commit(first, 3);
        }
        assertEquals(3, Samples.number(folder()));
    }

    @Test
    void folderWithSomethingElseIsLeftAlone() throws IOException {
        Files.createDirectory(folder());
        Files.writeString(folder().resolve("memory-of-my-youth"), "dear");

        assertThrows(
                SnapshotException.class,
                () -> SnapshotWriter.begin(folder(), true, Checkpoint.NONE));

        assertEquals(List.of("memory-of-my-youth"), names(folder()));
        assertEquals("manifest.json: missing: the folder has no snapshot", refusal());
    }

    @Test
    void alteredByteOfManifestOrStateIsRefused() throws IOException {
        Samples.write(folder(), 1);
        Random random = new Random(1);
        Path manifest = part("manifest");
        Path state = part("state");
        byte[] manifestBytes = Files.readAllBytes(manifest);
        byte[] stateBytes = Files.readAllBytes(state);

        for (int i = 0; i < Effort.times(1000); i++) {
            boolean ofManifest = random.nextBoolean();
            byte[] bytes = (ofManifest ? manifestBytes : stateBytes).clone();
            int at = random.nextInt(bytes.length);
            bytes[at] ^= (byte) (1 + random.nextInt(255));
            Files.write(ofManifest ? manifest : state, bytes);

            String refusal = refusal();
            assertTrue(refusal.contains("altered"), "byte %d: %s".formatted(at, refusal));
            Files.write(ofManifest ? manifest : state, ofManifest ? manifestBytes : stateBytes);
        }
        assertEquals(1, Samples.number(folder()));
    }

    @Test
    void alteredMemoryIsFoundWhenItIsLookedFor() throws IOException {
        Samples.write(folder(), 1);
        byte[] bytes = Files.readAllBytes(part("memory"));
        bytes[0x5000] ^= 1;
        Files.write(part("memory"), bytes);
        Snapshot snapshot = Snapshot.read(folder());

        assertThrows(SnapshotException.class, snapshot::checkMemory);
    }

    @Test
    void whatIsCutShortIsRefused() throws IOException {
        Samples.write(folder(), 1);
        byte[] manifest = Files.readAllBytes(part("manifest"));
        for (int length = 0; length < manifest.length; length += 7) {
            Files.write(part("manifest"), Arrays.copyOf(manifest, length));
            assertTrue(refusal().contains("cut short"));
        }
        Files.write(part("manifest"), manifest);
        byte[] state = Files.readAllBytes(part("state"));
        Files.write(part("state"), Arrays.copyOf(state, state.length - 1));
        assertTrue(refusal().contains("%d bytes, where".formatted(state.length - 1)));
        Files.write(part("state"), state);
        byte[] memory = Files.readAllBytes(part("memory"));
        Files.write(part("memory"), Arrays.copyOf(memory, memory.length - 4096));
        assertTrue(refusal().contains("bytes, where there should be 1114112"));
        Files.delete(part("memory"));
        assertTrue(refusal().endsWith(": missing"));
    }

    private String refusalOf(String from, String to) throws IOException {
        byte[] bytes = Files.readAllBytes(part("manifest"));
        String text = new String(bytes, ISO_8859_1);
        assertTrue(text.contains(from), text);
        String body = text.substring(0, text.lastIndexOf(",\n  \"checksum\"")) + "\n}\n";
        Files.write(part("manifest"), Manifest.seal(body.replace(from, to).getBytes(ISO_8859_1)));
        return refusal();
    }

    @Test
    void newerFormatIsRefused() throws IOException {
        Samples.write(folder(), 1);

        assertEquals(
                "manifest.json: format 4, and this version of Kaval reads formats 1 to 3",
                refusalOf("\"format\" : 1", "\"format\" : 4"));
    }

    /// It lies over another one, in which 0x9000 has 2, and has a disk of 64 KiB.
    @Test
    void snapshotOfTheSecondFormatIsStillUnderstood() throws IOException {
        Path old =
                Path.of(System.getProperty("basedir", ""))
                        .resolve("src/test/snapshots/format-2/over");
        Snapshot second = Snapshot.read(old);

        second.checkMemory();
        second.checkDisks();
        assertEquals(Map.of("made", "with format 2"), second.attributes());
        assertEquals(List.of("disk0"), List.copyOf(second.disks().keySet()));
        try (GuestMemory memory = second.openMemory()) {
            assertEquals(1, memory.readLe64(0x8000));
            assertEquals(3, memory.readLe64(0x9000));
        }
    }

    /// Whoever can write a manifest can write its sum, too.
    @Test
    void manifestThatMakesNoSenseIsRefused() throws IOException {
        for (String[] change :
                List.of(
                        new String[] {"\"file\" : \"state-", "\"file\" : \"../state-"},
                        new String[] {"\"base\" : 4294967296", "\"base\" : 4096"},
                        new String[] {"\"size\" : 65536", "\"size\" : 9223372036854775807"},
                        new String[] {"\"size\" : 65536", "\"size\" : -4096"},
                        new String[] {"\"cores\" : 2", "\"cores\" : 100000"},
                        new String[] {"\"addressBits\" : 48", "\"addressBits\" : 99"},
                        new String[] {"\"memory\" :", "\"memories\" :"},
                        new String[] {"\"topology\" : {", "\"topology\" : [{"},
                        new String[] {"\"format\" : 1", "\"format\" : \"one\""})) {
            Samples.write(folder(), 1);
            assertTrue(refusalOf(change[0], change[1]).startsWith("manifest.json: "), change[1]);
        }
    }

    private static ProcessBuilder child(Path folder, String... prefix) {
        var command = new ArrayList<String>(List.of(prefix));
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(
                List.of(
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Samples.class.getName(),
                        folder.toString()));
        return new ProcessBuilder(command);
    }

    @Test
    void killedAtAnyMomentTheEarlierSnapshotOrTheNewIsWhole() throws Exception {
        Random random = new Random(1);
        int most = 0;
        for (int i = 0; i < Effort.times(10); i++) {
            Process process = child(folder()).redirectErrorStream(true).start();
            int seen = 0;
            try (BufferedReader lines = process.inputReader()) {
                for (int line = random.nextInt(1, 10); line > 0; line--) {
                    seen = Integer.parseInt(String.valueOf(lines.readLine()));
                }
                Thread.sleep(0, random.nextInt(1_000_000)); // any moment
                process.destroyForcibly().waitFor();
            }

            int number = Samples.number(folder());
            assertTrue(number >= seen, number + " after " + seen);
            most = Math.max(most, number);
        }
        assertTrue(most > 1, "none came far");
        Samples.write(folder(), 1);
        assertEquals(List.of("lock", "manifest.json", "memory-*", "state-*.json"), names(folder()));
    }

    /// A file may have 256 KiB, and memory has more.
    @Test
    void whereThereIsNoRoomTheEarlierSnapshotStays() throws Exception {
        Samples.write(folder(), 9);
        List<String> before = names(folder());

        Process process =
                child(folder(), "sh", "-c", "ulimit -f 512; exec \"$@\"", "sh")
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), ISO_8859_1);
        process.waitFor();

        assertTrue(output.contains("EFBIG"), output);
        assertEquals(9, Samples.number(folder()));
        assertEquals(before, names(folder()));
    }
}
