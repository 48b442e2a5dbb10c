package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Ext4ImageTest {
    private static final long SIZE = 16 << 20;

    @TempDir Path directory;

    private Path tree(String name, List<String> files) throws IOException {
        Path tree = directory.resolve(name);
        Files.createDirectories(tree.resolve("etc"));
        for (String file : files) {
            Path path = tree.resolve("etc", file);
            Files.writeString(path, "content of " + file + "\n");
            Files.setLastModifiedTime(path, FileTime.fromMillis(files.indexOf(file) * 1000L));
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxr-x---"));
        }
        return tree;
    }

    private static String debugfs(Path image, String request)
            throws IOException, InterruptedException {
        return Tool.of("debugfs", "e2fsprogs").run("to test", "-R", request, image.toString());
    }

    private static void check(Path image) throws IOException, InterruptedException {
        Tool.of("e2fsck", "e2fsprogs").run("to test", "-fn", image.toString());
    }

    /// Bytes that mke2fs doesn't leave out.
    private static byte[] noHole(int size) {
        byte[] bytes = new byte[size];
        Arrays.fill(bytes, (byte) 1);
        return bytes;
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void treeIsInTheImageAndBelongsToRoot() throws Exception {
        Path tree = tree("tree", List.of("a b", "c"));
        Files.createSymbolicLink(tree.resolve("link"), Path.of("etc/c"));
        Path image = directory.resolve("image");
        Ext4Image.create(image, tree, SIZE, "test");
        check(image);
        assertEquals(SIZE, Files.size(image));
        assertEquals("content of c\n", debugfs(image, "cat /etc/c"));
        String inode = debugfs(image, "stat \"/etc/a b\"");
        assertTrue(inode.matches("(?s).*Mode:  0750 .*User:     0   Group:     0 .*"), inode);
        assertEquals(4, inode.split("time: 0x3b9aca00", -1).length - 1, inode);
        assertTrue(debugfs(image, "stat /link").contains("Fast link dest: \"etc/c\""));
        assertTrue(debugfs(image, "show_super_stats -h").contains("volume name:   test\n"));
        assertEquals(List.of("image", "tree"), files());
    }

    @Test
    void sameTreeGivesTheSameBytes() throws Exception {
        Path one = directory.resolve("one"), two = directory.resolve("two");
        Ext4Image.create(one, tree("a", List.of("z", "m", "b")), SIZE, "test");
        Ext4Image.create(two, tree("b", List.of("b", "z", "m")), SIZE, "test");
        assertEquals(-1, Files.mismatch(one, two));
        Ext4Image.create(two, tree("b", List.of("b", "z", "m")), SIZE, "other");
        assertTrue(Files.mismatch(one, two) >= 0);
    }

    @Test
    void emptyImageIsSparse() throws Exception {
        Path image = directory.resolve("image");
        Ext4Image.create(image, null, 1L << 30, "");
        check(image);
        String kibibytes = Tool.of("du", "coreutils").run("to test", "-k", image.toString());
        long used = Long.parseLong(kibibytes.split("\t", -1)[0]);
        assertTrue(used < 100 << 10, kibibytes);
    }

    @Test
    void imageThatIsTooSmallIsRefusedAndTheOldOneStays() throws Exception {
        Path tree = tree("tree", List.of());
        Files.write(tree.resolve("large"), noHole(3 << 20));
        Path image = Files.writeString(directory.resolve("image"), "old");
        IOException e =
                assertThrows(IOException.class, () -> Ext4Image.create(image, tree, 2 << 20, "x"));
        assertEquals(
                "%s: 2097152 bytes are too few for an ext4 file system with %s: %d will do"
                        .formatted(image, tree, Ext4Image.estimate(tree)),
                e.getMessage());
        assertEquals("old", Files.readString(image));
        assertThrows(IOException.class, () -> Ext4Image.create(image, null, 16 << 10, "x"));
        assertEquals(List.of("image", "tree"), files());
    }

    @Test
    void nonsenseIsRefused() {
        Path image = directory.resolve("image");
        for (long size : new long[] {0, -4096, 4097, Long.MIN_VALUE}) {
            assertThrows(
                    IllegalArgumentException.class, () -> Ext4Image.create(image, null, size, ""));
        }
        for (String label : List.of("a b", "x".repeat(17), "ä", "a,b", "\0")) {
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Ext4Image.create(image, null, SIZE, label));
        }
        assertThrows(
                IOException.class,
                () -> Ext4Image.create(image, directory.resolve("missing"), SIZE, ""));
        assertThrows(
                IOException.class,
                () -> Ext4Image.create(directory.resolve("missing/x"), null, SIZE, ""));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 3000})
    void estimateIsEnoughForManySmallFiles(int count) throws Exception {
        Path tree =
                tree(
                        "tree",
                        IntStream.range(0, count)
                                .mapToObj(i -> "a-file-with-a-rather-long-name-" + i)
                                .collect(Collectors.toList()));
        Path image = directory.resolve("image");
        Ext4Image.create(image, tree, Ext4Image.estimate(tree), "x");
        check(image);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 90, 130, 300})
    void estimateIsEnoughForALargeFile(int mebibytes) throws Exception {
        Path tree = tree("tree", List.of());
        byte[] block = noHole(1 << 20);
        try (var out = Files.newOutputStream(tree.resolve("large"))) {
            for (int i = 0; i < mebibytes; i++) {
                out.write(block);
            }
        }
        Path image = directory.resolve("image");
        long estimate = Ext4Image.estimate(tree);
        Ext4Image.create(image, tree, estimate, "x");
        assertTrue(estimate <= (mebibytes * 12L / 10 + 24) << 20, "not much more than it takes");
    }

    @Test
    void fullDiskLeavesNothing() throws Exception {
        Files.write(tree("tree", List.of()).resolve("large"), noHole(4 << 20));
        try (SmallDisk disk = SmallDisk.mount(directory, 1 << 20)) {
            List<String> said = disk.run(GuestFiles.class, "ext4", disk.path(), "268435456");
            assertEquals(1, said.size(), said::toString);
            assertTrue(said.getFirst().startsWith("mke2fs, needed to make"), said::toString);
            assertTrue(said.getFirst().contains("No space left on device"), said::toString);
            assertEquals(List.of(), disk.run(GuestFiles.class, "list", disk.path(), "0"));
        }
    }
}
