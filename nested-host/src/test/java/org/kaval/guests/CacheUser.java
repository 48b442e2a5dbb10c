package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;

/// Uses a cache in a process of its own: `CacheUser ROOT KIND KEY WHAT`.
final class CacheUser {
    private CacheUser() {}

    /// Prints "built" if it had to, and the content of the entry's file `pid`, or the problem.
    ///
    /// WHAT: `once` ends then; `stay` lives on; `hang` hangs while building, after "hanging"; a
    /// number builds a file of as many bytes.
    public static void main(String[] arguments) throws InterruptedException {
        String what = arguments[3];
        try {
            Path directory =
                    new ArtifactCache(Path.of(arguments[0]))
                            .directory(arguments[1], arguments[2], d -> build(d, what));
            System.out.println(Files.readString(directory.resolve("pid")));
        } catch (IOException e) {
            System.out.println(e.getMessage());
        }
        if (what.equals("stay")) {
            new CountDownLatch(1).await();
        }
    }

    private static void build(Path directory, String what)
            throws IOException, InterruptedException {
        Files.writeString(directory.resolve("pid"), "of " + ProcessHandle.current().pid());
        if (what.equals("hang")) {
            System.out.println("hanging");
            new CountDownLatch(1).await();
        } else if (what.chars().allMatch(Character::isDigit)) {
            Files.write(directory.resolve("bytes"), new byte[Integer.parseInt(what)]);
        }
        System.out.println("built");
    }
}
