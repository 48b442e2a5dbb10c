package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// `kaval run` writes snapshots, and `kaval restore` goes on from them, each in a process of its
/// own.
@NeedsKvm
@NeedsFiles("../cli/target/kaval")
class SnapshotCommandTest {
    private static final String ESCAPE = "\u001d";
    private static final int REFUSED = 2;

    @TempDir private Path directory;

    private String folder() {
        return directory.resolve("snapshot").toString();
    }

    private RunningCommand start(Pty pty, String... options) throws IOException {
        return RunningCommand.startPayload(pty.terminal(), directory, Payloads.echo(), options);
    }

    private File input(String text) throws IOException {
        return Files.writeString(directory.resolve("input"), text).toFile();
    }

    private RunningCommand restore(String input, String... options) throws IOException {
        String[] arguments = new String[options.length + 2];
        arguments[0] = "restore";
        arguments[1] = folder();
        System.arraycopy(options, 0, arguments, 2, options.length);
        return RunningCommand.start(input(input), arguments);
    }

    private void assertGoesOn(String... options) throws Exception {
        try (RunningCommand restored = restore("xy\n", options)) {
            assertEquals(7, restored.awaitExit(), restored.error());
            assertEquals("xy", restored.output());
            assertEquals("", restored.error());
        }
    }

    private void assertRefused(String problem, String... options) throws Exception {
        try (RunningCommand restored = restore("", options)) {
            assertEquals(REFUSED, restored.awaitExit(), restored.error());
            assertTrue(restored.error().contains(problem), restored.error());
            assertEquals(1, restored.error().lines().count(), restored.error());
        }
    }

    @Test
    void guestGoesOnAfterASnapshotAndFromItAsOftenAsOneLikes() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty, "--snapshot-dir", folder(), "--memory=64M")) {
            kaval.awaitOutput(">");
            pty.type("a");
            kaval.awaitOutput(">a"); // or it would be in the snapshot, still to be echoed
            pty.type(ESCAPE + "w");
            kaval.awaitError("the snapshot is in " + folder());
            pty.type("b\n");
            assertEquals(7, kaval.awaitExit(), kaval.error());
            assertEquals(">ab", kaval.output());
        }
        assertGoesOn();
        assertGoesOn();
    }

    @Test
    void guestEndsWithItsSnapshotAndItsDiskGoesOnOnce() throws Exception {
        Path disk = Files.write(directory.resolve("disk.img"), new byte[1 << 20]);
        try (var pty = new Pty();
                RunningCommand kaval =
                        start(pty, "--snapshot-dir", folder(), "--disk", disk.toString())) {
            kaval.awaitOutput(">");
            pty.type(ESCAPE + "w");
            kaval.awaitError("the snapshot is in " + folder());
            assertGoesOn(); // with a copy of the disk
            pty.type(ESCAPE + "z");
            assertEquals(0, kaval.awaitExit(), kaval.error());
        }
        assertGoesOn("--ephemeral");
        assertGoesOn();
        assertRefused("was restored before, and its disks have been written since");
    }

    @Test
    void diskThatIsKeptOutlivesItsSnapshot() throws Exception {
        Path disk = Files.write(directory.resolve("disk.img"), new byte[1 << 20]);
        Path kept = directory.resolve("kept");
        try (var pty = new Pty();
                RunningCommand kaval =
                        start(pty, "--snapshot-dir", folder(), "--disk", disk + ",id=data")) {
            kaval.awaitOutput(">");
            pty.type(ESCAPE + "w");
            kaval.awaitError("the snapshot is in " + folder());
            assertGoesOn("--keep-disks", kept.toString());
            assertRefused("data.qcow2: exists already", "--keep-disks", kept.toString());
            assertGoesOn(); // the snapshot's own copy is as it was
            pty.type(ESCAPE + "w");
            kaval.awaitError("the snapshot is in " + folder(), 2);
            pty.type("\n");
            assertEquals(7, kaval.awaitExit(), kaval.error());
        }
        Path image = kept.resolve("data.qcow2");
        Processes.Result check =
                Processes.run(
                        Image.environment(), Image.kaval(), "disk", "check", image.toString());
        assertEquals(0, check.status(), check.err());
    }

    @Test
    void whatIsNoSnapshotIsRefusedInOneLine() throws Exception {
        assertRefused("manifest.json: missing: the folder has no snapshot");
        Path folder = Files.createDirectory(directory.resolve("snapshot"));
        Files.writeString(folder.resolve("manifest.json"), "{}");
        assertRefused("manifest.json: cut short");
    }

    @Test
    void keyWithoutAFolderSaysWhatIsMissing() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty)) {
            kaval.awaitOutput(">");
            pty.type(ESCAPE + "z");
            kaval.awaitError("snapshot-dir: has to say where snapshots go");
            pty.type("\n");
            assertEquals(7, kaval.awaitExit());
        }
    }
}
