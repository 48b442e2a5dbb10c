package org.kaval.guests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/// What stands under one name in an initramfs.
sealed interface InitramfsEntry {
    /// @param asked by the user, not only made for what is in it
    record Directory(int mode, boolean asked) implements InitramfsEntry {}

    // Identity is all that is asked of it.
    @SuppressWarnings("ArrayRecordComponent")
    record Bytes(int mode, byte[] content) implements InitramfsEntry {}

    record HostFile(int mode, Path content) implements InitramfsEntry {}

    record Symlink(String target) implements InitramfsEntry {}

    record Node(int mode, boolean block, int major, int minor) implements InitramfsEntry {
        public Node {
            // Linux has 12 and 20 bits for them.
            if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
                throw new IllegalArgumentException("no device: %d:%d".formatted(major, minor));
            }
        }
    }

    /// Writes `entries`, by their names, to the file `target`.
    static void write(Map<String, InitramfsEntry> entries, Path target) throws IOException {
        try (var archive = new CpioWriter(Files.newOutputStream(target))) {
            for (Map.Entry<String, InitramfsEntry> entry : entries.entrySet()) {
                write(archive, entry.getKey(), entry.getValue());
            }
        }
    }

    private static void write(CpioWriter archive, String name, InitramfsEntry entry)
            throws IOException {
        switch (entry) {
            case Directory(int mode, _) ->
                    archive.add(name, CpioWriter.DIRECTORY | mode, new byte[0]);
            case Bytes(int mode, byte[] content) ->
                    archive.add(name, CpioWriter.REGULAR | mode, content);
            case HostFile(int mode, Path content) ->
                    archive.add(name, CpioWriter.REGULAR | mode, content);
            case Symlink(String target) ->
                    archive.add(
                            name,
                            CpioWriter.SYMLINK | 0777,
                            target.getBytes(StandardCharsets.UTF_8));
            case Node node ->
                    archive.addNode(
                            name,
                            (node.block() ? CpioWriter.BLOCK_DEVICE : CpioWriter.CHARACTER_DEVICE)
                                    | node.mode(),
                            node.major(),
                            node.minor());
        }
    }
}
