package org.kaval.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskCommandTest {
    @TempDir private Path directory = Path.of("");

    @Test
    void imageIsMadeAndShown() {
        Path image = directory.resolve("a.qcow2");
        assertOk(new Run("create", image, "20M", "--cluster-size", "4K"));
        Run info = new Run("info", image);
        assertOk(info);
        assertTrue(info.out.contains("format:         qcow2\n"), info.out);
        assertTrue(info.out.contains("disk size:      20971520 bytes\n"), info.out);
        assertTrue(info.out.contains("cluster size:   4096 bytes\n"), info.out);
        Run check = new Run("check", image);
        assertOk(check);
        assertTrue(check.out.startsWith("errors: 0, leaked clusters: 0, mended: 0\n"), check.out);
    }

    @Test
    void rawImageHasItsSize() throws Exception {
        Path image = directory.resolve("a.img");
        assertOk(new Run("create", image, "1M"));
        assertEquals(1 << 20, Files.size(image));
        assertOk(new Run("resize", image, "2M"));
        assertEquals(2 << 20, Files.size(image));
    }

    @Test
    void imageOverAnotherIsCommittedAndCopied() throws Exception {
        var content = new byte[3 << 20];
        Arrays.fill(content, (byte) 9);
        Path base = Files.write(directory.resolve("base.img"), content);
        Path top = directory.resolve("top.qcow2");
        Path copy = directory.resolve("copy.raw");
        assertOk(new Run("create", top, "--backing", "base.img"));
        assertTrue(new Run("info", top).out.contains("image below:    base.img\n"));
        assertOk(new Run("convert", top, copy));
        assertArrayEquals(content, Files.readAllBytes(copy));
        assertOk(new Run("resize", top, "4M"));
        assertOk(new Run("commit", top));
        assertEquals(4 << 20, Files.size(base));
        assertOk(new Run("rebase", top));
        Files.delete(base);
        assertOk(new Run("convert", top, directory.resolve("again.raw")));
        assertArrayEquals(
                Arrays.copyOf(content, 4 << 20),
                Files.readAllBytes(directory.resolve("again.raw")));
    }

    @Test
    void copyIsCompressedIfThatIsAsked() throws Exception {
        Path image =
                Files.write(directory.resolve("a.img"), "text".repeat(1 << 18).getBytes(UTF_8));
        Path copy = directory.resolve("copy.qcow2");
        assertOk(new Run("convert", "--compress", image, copy));
        assertTrue(Files.size(copy) < 1 << 19, () -> copy.toFile().length() + " bytes");
        Run refused = new Run("convert", "--compress", image, directory.resolve("copy.raw"));
        assertEquals(ExitStatus.USAGE, refused.status);
        assertTrue(refused.err.contains("raw images cannot be compressed"), refused.err);
    }

    @Test
    void smallerSizeMustBeMeant() throws Exception {
        Path image = Files.write(directory.resolve("a.img"), new byte[4096]);
        Run refused = new Run("resize", image, "1K");
        assertEquals(ExitStatus.USAGE, refused.status);
        assertTrue(refused.err.contains("say --shrink if you want that"), refused.err);
        assertEquals(4096, Files.size(image));
        assertOk(new Run("resize", "--shrink", image, "1K"));
        assertEquals(1024, Files.size(image));
    }

    @Test
    void existingFileIsNotReplaced() throws Exception {
        Path image = Files.writeString(directory.resolve("a.qcow2"), "mine");
        Run refused = new Run("create", image, "1M");
        assertEquals(ExitStatus.HOST, refused.status);
        assertEquals("kaval: %s: exists already\n".formatted(image), refused.err);
        assertEquals("mine", Files.readString(image));
    }

    @Test
    void damagedImageIsSaidInOneLine() throws IOException {
        Path image = Files.writeString(directory.resolve("a.qcow2"), "nothing");
        Run refused = new Run("check", image);
        assertEquals(ExitStatus.USAGE, refused.status);
        assertEquals(
                "kaval: %s: offset 0x0: 7 bytes, expected a qcow2 header\n".formatted(image),
                refused.err);
    }

    @Test
    void nonsenseIsRefused() {
        assertUsage("the size is missing", "create", directory.resolve("a.qcow2"));
        assertUsage(
                "a cluster size of 3000 bytes is no power of two",
                "create",
                directory.resolve("a.qcow2"),
                "1M",
                "--cluster-size=3000");
        assertUsage(
                "clusters of 2^8 bytes, expected 2^9 to 2^21",
                "create",
                directory.resolve("a.qcow2"),
                "1M",
                "--cluster-size=256");
        assertUsage(
                "a raw image cannot have one below",
                "create",
                directory.resolve("a.img"),
                "1M",
                "--backing=b");
        assertUsage("is for qcow2 images", "check", directory.resolve("a.img"), "-f", "raw");
        assertUsage("a command is missing");
    }

    private static void assertUsage(String message, Object... arguments) {
        Run run = new Run(arguments);
        assertEquals(ExitStatus.USAGE, run.status, run.err);
        assertTrue(run.err.contains(message), run.err);
    }

    private static void assertOk(Run run) {
        assertEquals(ExitStatus.OK, run.status, run.err);
        assertEquals("", run.err);
    }

    /// One run of `kaval disk`.
    private static final class Run {
        private final String out;
        private final String err;
        private final int status;

        Run(Object... arguments) {
            var all = new String[arguments.length + 1];
            all[0] = "disk";
            for (int i = 0; i < arguments.length; i++) {
                all[i + 1] = arguments[i].toString();
            }
            var written = new StringWriter();
            var errors = new StringWriter();
            status =
                    Kaval.commandLine("disk")
                            .setOut(new PrintWriter(written))
                            .setErr(new PrintWriter(errors))
                            .execute(all);
            out = written.toString();
            err = errors.toString();
        }
    }
}
