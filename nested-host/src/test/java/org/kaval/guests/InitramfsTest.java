package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.commons.compress.archivers.cpio.CpioArchiveEntry;
import org.apache.commons.compress.archivers.cpio.CpioArchiveInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InitramfsTest {
    private static final byte[] HELLO = "hello\n".getBytes(StandardCharsets.UTF_8);

    @TempDir Path directory;

    private Path write(Initramfs initramfs) throws IOException {
        Path file = directory.resolve("out.cpio");
        initramfs.writeTo(file);
        return file;
    }

    /// `NAME MODE SIZE CONTENT`, the content of files and links only.
    private List<String> entries(Initramfs initramfs) throws IOException {
        List<String> lines = new ArrayList<>();
        try (var in = new CpioArchiveInputStream(Files.newInputStream(write(initramfs)))) {
            for (CpioArchiveEntry e = in.getNextEntry(); e != null; e = in.getNextEntry()) {
                String content = new String(in.readAllBytes(), StandardCharsets.UTF_8);
                lines.add(
                        "%s %o %d %s"
                                .formatted(e.getName(), e.getMode(), e.getSize(), content)
                                .strip());
            }
        }
        return lines;
    }

    @Test
    void entriesAreSortedAndGetTheirParents() throws Exception {
        List<String> entries =
                entries(
                        new Initramfs()
                                .file("/usr/share/x", 0640, HELLO)
                                .symlink("bin", "usr/bin")
                                .directory("/tmp/", 01777)
                                .file("a-b", 0644, new byte[0])
                                .directory("a", 0700));
        assertEquals(
                List.of(
                        "a 40700 0",
                        "a-b 100644 0",
                        "bin 120777 7 usr/bin",
                        "tmp 41777 0",
                        "usr 40755 0",
                        "usr/share 40755 0",
                        "usr/share/x 100640 6 hello"),
                entries);
    }

    @Test
    void otherProgramsReadIt() throws Exception {
        Path file =
                write(
                        new Initramfs()
                                .characterDevice("dev/console", 0600, 5, 1)
                                .blockDevice("dev/vda", 0660, 254, 0)
                                .file("etc/ü", 04755, HELLO));
        String list = Tool.of("sh", "dash").run("to list", "-c", "cpio -tvn <" + file);
        List<String> lines =
                list.lines().map(line -> line.replaceAll(" +", " ").replace(", ", ",")).toList();
        assertEquals(5, lines.size(), list);
        assertTrue(lines.get(1).startsWith("crw------- 1 0 0 5,1 Jan 1 1970 dev/console"), list);
        assertTrue(lines.get(2).startsWith("brw-rw---- 1 0 0 254,0 Jan 1 1970 dev/vda"), list);
        assertTrue(lines.get(4).startsWith("-rwsr-xr-x 1 0 0 6 Jan 1 1970 etc/"), list);
        assertEquals(0, Files.size(file) % 512);
    }

    @Test
    void sameContentGivesTheSameBytesInWhateverOrder() throws Exception {
        Path content = Files.write(directory.resolve("content"), HELLO);
        Path first =
                write(new Initramfs().file("x/a", 0644, content).directory("y", 0755).init("true"));
        byte[] bytes = Files.readAllBytes(first);
        Files.setLastModifiedTime(content, FileTime.fromMillis(1_000_000));
        Path second =
                write(new Initramfs().init("true").directory("y", 0755).file("x/a", 0644, content));
        assertArrayEquals(bytes, Files.readAllBytes(second));
    }

    @Test
    void emptyOneIsATrailer() throws Exception {
        assertEquals(List.of(), entries(new Initramfs()));
        assertEquals(512, Files.size(write(new Initramfs())));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "/", ".", "a/../b", "a//b", "./a", "a\0", "TRAILER!!!"})
    void nonsenseIsNoPath(String path) {
        assertThrows(IllegalArgumentException.class, () -> new Initramfs().file(path, 0644, HELLO));
        assertThrows(IllegalArgumentException.class, () -> new Initramfs().symlink(path, "x"));
    }

    @Test
    void nothingIsReplaced() {
        var initramfs =
                new Initramfs().file("a/b", 0644, HELLO).symlink("l", "a").directory("d", 0);
        assertEquals(
                "/a/b is there twice",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> initramfs.file("a/b", 0644, HELLO))
                        .getMessage());
        assertThrows(IllegalArgumentException.class, () -> initramfs.directory("d", 0700));
        assertThrows(IllegalArgumentException.class, () -> initramfs.directory("a/b", 0700));
        assertThrows(IllegalArgumentException.class, () -> initramfs.file("a", 0644, HELLO));
        assertEquals(
                "/l/x: /l is no directory",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> initramfs.file("l/x", 0644, HELLO))
                        .getMessage());
        assertThrows(IllegalArgumentException.class, () -> initramfs.file("a/b/c", 0644, HELLO));
    }

    @Test
    void limitsAreHeld() {
        var initramfs = new Initramfs();
        assertThrows(IllegalArgumentException.class, () -> initramfs.file("a", 010000, HELLO));
        assertThrows(IllegalArgumentException.class, () -> initramfs.directory("a", -1));
        assertThrows(
                IllegalArgumentException.class, () -> initramfs.file("a".repeat(4096), 0, HELLO));
        assertThrows(IllegalArgumentException.class, () -> initramfs.symlink("a", ""));
        assertThrows(
                IllegalArgumentException.class, () -> initramfs.characterDevice("a", 0, 4096, 0));
        assertThrows(
                IllegalArgumentException.class, () -> initramfs.blockDevice("a", 0, 0, 1 << 20));
    }

    @Test
    void modeOfAnImpliedDirectoryCanBeSetOnce() throws Exception {
        var initramfs = new Initramfs().file("a/b", 0644, HELLO).directory("a", 0711);
        assertEquals("a 40711 0", entries(initramfs).getFirst());
        assertThrows(IllegalArgumentException.class, () -> initramfs.directory("a", 0700));
    }

    @Test
    void treeKeepsModesAndLinksAndMergesDirectories() throws Exception {
        Path tree = Files.createDirectories(directory.resolve("tree"));
        Files.createDirectories(tree.resolve("etc/x"));
        Files.write(tree.resolve("etc/x/run"), HELLO);
        Files.setPosixFilePermissions(
                tree.resolve("etc/x/run"), PosixFilePermissions.fromString("rwxr-x--x"));
        Files.createSymbolicLink(tree.resolve("etc/link"), Path.of("/nowhere"));
        List<String> entries =
                entries(
                        new Initramfs()
                                .directory("etc", 0700)
                                .tree("/", tree)
                                .tree("/opt/it", tree.resolve("etc")));
        assertEquals("etc 40700 0", entries.getFirst());
        assertTrue(entries.contains("etc/link 120777 8 /nowhere"), entries::toString);
        assertTrue(entries.contains("etc/x/run 100751 6 hello"), entries::toString);
        assertTrue(entries.contains("opt/it/x/run 100751 6 hello"), entries::toString);
    }

    @Test
    void specialFilesOfATreeAreRefused() throws Exception {
        Path tree = Files.createDirectories(directory.resolve("tree"));
        Tool.of("mkfifo", "coreutils").run("to test", tree.resolve("fifo").toString());
        IOException e = assertThrows(IOException.class, () -> new Initramfs().tree("/", tree));
        assertEquals(tree + "/fifo: expected a file, directory or link", e.getMessage());
    }

    @Test
    void missingFilesAreNamedAndNothingIsWritten() throws Exception {
        Path content = Files.write(directory.resolve("content"), HELLO);
        var initramfs = new Initramfs().file("a", 0644, content);
        Files.delete(content);
        assertThrows(IOException.class, () -> write(initramfs));
        try (Stream<Path> left = Files.list(directory)) {
            assertEquals(List.of(), left.toList());
        }
        IOException e =
                assertThrows(IOException.class, () -> new Initramfs().file("a", 0644, content));
        assertEquals(content + ": expected a regular file", e.getMessage());
        Path nowhere = directory.resolve("no/x.cpio");
        assertEquals(
                "cannot write %s: %s: no such directory".formatted(nowhere, nowhere.getParent()),
                assertThrows(IOException.class, () -> new Initramfs().writeTo(nowhere))
                        .getMessage());
    }

    @Test
    void fileThatIsTooLargeIsRefused() throws Exception {
        Path large = directory.resolve("large");
        try (var file = new RandomAccessFile(large.toFile(), "rw")) {
            file.setLength(1L << 32);
        }
        IOException e =
                assertThrows(
                        IOException.class, () -> write(new Initramfs().file("a", 0644, large)));
        assertEquals(
                "cannot write %s: %s: 4294967296 bytes: an initramfs has room for 4 GiB - 1"
                        .formatted(directory.resolve("out.cpio"), large),
                e.getMessage());
    }

    @Test
    void modulesAreInsertedInTheirOrder() throws Exception {
        Path b = Files.write(directory.resolve("b-x.ko"), HELLO);
        Path a = Files.write(directory.resolve("a.ko"), HELLO);
        List<String> entries = entries(new Initramfs().modules(List.of(b)).modules(List.of(b, a)));
        assertEquals("lib/modules/a.ko 100644 6 hello", entries.get(2));
        String script = entries.get(4);
        assertTrue(script.startsWith("lib/modules/insert 100644 "), script);
        assertTrue(
                script.endsWith(
                        """
                        insmod /lib/modules/b-x.ko ${args_b_x-} || echo "cannot insert b_x"
                        insmod /lib/modules/a.ko ${args_a-} || echo "cannot insert a\"\
                        """),
                script);
        assertThrows(
                IllegalArgumentException.class,
                () -> new Initramfs().modules(List.of(directory.resolve("a b.ko"))));
        Path other = Files.createDirectory(directory.resolve("other")).resolve("a.ko");
        Files.write(other, HELLO);
        assertThrows(
                IllegalArgumentException.class, () -> new Initramfs().modules(List.of(a, other)));
    }

    @Test
    void initIsAScriptUnlessItSaysWhatItIs() throws Exception {
        assertEquals(
                List.of("init 100755 15 #!/bin/sh\ntrue"), entries(new Initramfs().init("true\n")));
        assertEquals(
                List.of("init 100755 8 #!/x\nhi"), entries(new Initramfs().init("#!/x\nhi\n")));
    }

    @Test
    void fullDiskLeavesNothing() throws Exception {
        try (SmallDisk disk = SmallDisk.mount(directory, 1 << 20)) {
            List<String> said = disk.run(GuestFiles.class, "initramfs", disk.path(), "4000000");
            assertEquals(
                    List.of(
                            "cannot write %s/x.cpio: No space left on device"
                                    .formatted(disk.path())),
                    said);
            assertEquals(List.of(), disk.run(GuestFiles.class, "list", disk.path(), "0"));
        }
    }
}
