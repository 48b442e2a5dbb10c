package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// Makes guests' files in a process of its own: `GuestFiles WHAT DIRECTORY BYTES`. Prints the
/// problem (an ext4 image gets what is in `tree` beside the directory), or for WHAT `list` what is
/// in the directory.
final class GuestFiles {
    private GuestFiles() {}

    public static void main(String[] arguments) throws InterruptedException {
        Path directory = Path.of(arguments[1]);
        int bytes = Integer.parseInt(arguments[2]);
        try {
            switch (arguments[0]) {
                case "initramfs" ->
                        new Initramfs()
                                .file("x", 0644, new byte[bytes])
                                .writeTo(directory.resolve("x.cpio"));
                case "ext4" ->
                        Ext4Image.create(
                                directory.resolve("x.ext4"),
                                directory.resolveSibling("tree"),
                                bytes,
                                "x");
                default -> list(directory);
            }
        } catch (IOException e) {
            System.out.println(Problem.line(e));
        }
    }

    private static void list(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            files.forEach(System.out::println);
        }
    }
}
