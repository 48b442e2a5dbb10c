package org.kaval.ci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// `kaval run --disk` with what it cannot use: one line, and the files as they were. What it can
/// use, Linux uses in {@link LinuxCommandTest}.
@NeedsFiles("../cli/target/kaval")
class DiskOptionTest {
    private static final File NOTHING = new File("/dev/null");

    @TempDir Path directory;
    private Path image;

    @BeforeEach
    void makeImage() throws IOException {
        image = Files.write(directory.resolve("disk.img"), new byte[1 << 20]);
    }

    private RunningCommand start(byte[] code, String... options) throws IOException {
        return RunningCommand.startPayload(NOTHING, directory, code, options);
    }

    private void assertRefused(String line, String... options) throws Exception {
        try (RunningCommand kaval = start(Payloads.exit(0), options)) {
            assertEquals(2, kaval.awaitExit(), kaval.error());
            assertEquals("kaval: " + line + "\n", kaval.error());
        }
    }

    private void assertEndsWell(String... options) throws Exception {
        try (RunningCommand kaval = start(Payloads.exit(0), options)) {
            assertEquals(0, kaval.awaitExit(), kaval.error());
            assertEquals("", kaval.error());
        }
    }

    @Test
    void fileThatIsNotThere() throws Exception {
        Path missing = directory.resolve("missing");
        assertRefused("%s: no such file".formatted(missing), "--disk", missing.toString());
    }

    @Test
    void directoryIsNoDisk() throws Exception {
        try (RunningCommand kaval =
                start(Payloads.exit(0), "--disk", directory + ",readonly,format=raw")) {
            assertEquals(2, kaval.awaitExit(), kaval.error());
            assertEquals(1, kaval.error().lines().count(), kaval.error());
            assertTrue(kaval.error().contains(directory.toString()), kaval.error());
        }
    }

    @Test
    void wordThatIsNotKnown() throws Exception {
        try (RunningCommand kaval = start(Payloads.exit(0), "--disk", image + ",sise=4")) {
            assertEquals(2, kaval.awaitExit(), kaval.error());
            assertTrue(
                    kaval.error().startsWith("kaval: disk[0]: 'sise=4' is none of path"),
                    kaval.error());
        }
    }

    @Test
    void twoDisksOfOneName() throws Exception {
        assertRefused(
                "disk[1].id: another disk is called 'a'",
                "--disk",
                image + ",id=a",
                "--disk",
                directory.resolve("other") + ",id=a");
    }

    @Test
    void ringsAreForRawImagesWithoutLimits() throws Exception {
        String layered = "disk0.engine: io_uring is for raw images without overlay";
        assertRefused(layered, "--disk", image + ",overlay,engine=io_uring");
        assertRefused(
                "disk0.engine: io_uring has no limits: iops and bandwidth",
                "--disk",
                image + ",iops=10,engine=io_uring");
        assertRefused(
                "disk[0].engine: 'aio' is none of threads, io_uring",
                "--disk",
                image + ",engine=aio");
    }

    @Test
    void rawImageThatTurnedIntoQcow2() throws Exception {
        Files.writeString(image, "QFI\u00fb", ISO_8859_1);
        assertRefused(
                image
                        + ": begins like a qcow2 image, but a guest may have written that; say"
                        + " which it is: format=raw or format=qcow2",
                "--disk",
                image.toString());
    }

    @Test
    void directoryForOverlaysThatIsNotThere() throws Exception {
        Path payload = Files.write(directory.resolve("payload"), Payloads.exit(0));
        Processes.Result result =
                Processes.run(
                        Map.of("TMPDIR", "/missing"),
                        Image.kaval(),
                        "run",
                        "--payload",
                        payload.toString(),
                        "--ephemeral",
                        "--disk",
                        image.toString());
        assertEquals(2, result.status(), result.err());
        assertEquals("kaval: TMPDIR: /missing: no such directory\n", result.err());
    }

    @Test
    @NeedsKvm
    void imageIsOfOneGuestUntilThatEnds() throws Exception {
        try (RunningCommand user = start(Payloads.echo(), "--disk", image.toString())) {
            user.awaitOutput(">");
            assertRefused(
                    image + ": in use; one at a time may write it, and nobody read it meanwhile",
                    "--disk",
                    image.toString());
            user.signal("KILL");
            assertEquals(137, user.awaitExit());
        }
        assertEndsWell(
                "--disk",
                image + ",cache=unsafe,discard=ignore,queues=4,iops=10,bandwidth=1M,burst=2",
                "--mmio");
        assertEndsWell("--disk", image + ",engine=io_uring");
        assertArrayEquals(new byte[1 << 20], Files.readAllBytes(image));
    }

    @Test
    @NeedsKvm
    void imageMayBeReadByMany() throws Exception {
        try (RunningCommand user = start(Payloads.echo(), "--disk", image + ",readonly")) {
            user.awaitOutput(">");
            assertEndsWell(
                    "--disk", image + ",readonly", "--disk", image.toString(), "--ephemeral");
        }
    }
}
