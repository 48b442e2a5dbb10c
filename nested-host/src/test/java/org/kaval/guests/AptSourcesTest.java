package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AptSourcesTest {
    @TempDir Path directory;

    @Test
    void osReleaseIsRead() throws Exception {
        Path file = directory.resolve("os-release");
        Files.writeString(file, "# a = comment\nID=debian\nVERSION_ID=\"12\"\n\nNAME='A B'\nbad\n");
        Map<String, String> release = AptSources.osRelease(file);
        assertEquals("debian", release.get("ID"));
        assertEquals("12", release.get("VERSION_ID"));
        assertEquals("A B", release.get("NAME"));
    }

    @Test
    void debianOfAnotherReleaseHasAListOfItsOwn() {
        AptSources sources = AptSources.ofDebian("trixie");
        assertEquals(3, sources.list().lines().count());
        assertTrue(
                sources.configuration(Path.of("/d"))
                        .contains("Dir::Etc::sourcelist \"/d/sources.list\";"));
        assertEquals("", new AptSources("debian-12", "").configuration(Path.of("/d")));
    }
}
