package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DebianRootTest {
    @TempDir Path directory;

    @Test
    void releaseThatIsNoneIsRefusedInOneLine() {
        var cache = new ArtifactCache(directory);
        IOException refused =
                assertThrows(IOException.class, () -> DebianRoot.archive(cache, "nosuchrelease"));
        String message = String.valueOf(refused.getMessage());
        assertEquals(1, message.lines().count(), message);
        assertTrue(message.contains("mmdebstrap, needed to make"), message);
    }

    @Test
    void lastOneIsTakenWhenNoneCanBeMade() throws Exception {
        var cache = new ArtifactCache(directory);
        Path old =
                cache.directory(
                        "debian-archive-nosuchrelease",
                        "2001-09",
                        folder -> Files.writeString(folder.resolve("debian.tar"), "old"));
        assertEquals(old.resolve("debian.tar"), DebianRoot.archive(cache, "nosuchrelease"));
    }

    @Test
    void nameThatNoPackageHasIsRefused() {
        var cache = new ArtifactCache(directory);
        assertThrows(
                IllegalArgumentException.class,
                () -> DebianRoot.image(cache, "bookworm", List.of("a b"), List.of()));
    }
}
