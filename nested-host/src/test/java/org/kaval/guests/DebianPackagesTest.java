package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Against an archive of its own; nothing here needs a network.
class DebianPackagesTest {
    @TempDir Path directory;
    private DebianRepository repository;
    private ArtifactCache cache;
    private Instant now = Instant.now();

    @BeforeEach
    void makeRepository() throws Exception {
        repository = new DebianRepository(directory.resolve("repository"));
        repository.add("hello", "1:1.0-1", "");
        repository.add(
                "meta", "1.0", "Depends: hello (= 1:1.0-1), linux-image-6.1.0-1-cloud-amd64\n");
        cache = new ArtifactCache(directory.resolve("cache"));
    }

    private DebianPackages packages() throws Exception {
        AptSources sources = repository.publish();
        return new DebianPackages(cache, () -> sources, () -> now);
    }

    private static String version(Path tree, String name) throws IOException {
        return Files.readString(tree.resolve("usr/share", name, "version"));
    }

    @Test
    void packageIsUnpackedIntoTheCacheUnderItsVersion() throws Exception {
        Path tree = packages().unpack("hello");
        assertEquals("1:1.0-1", version(tree, "hello"));
        assertEquals("1%3a1.0-1_amd64", tree.getFileName().toString());
        try (Stream<Path> files = Files.list(tree)) {
            assertEquals(List.of(tree.resolve("usr")), files.toList(), "nothing but the package");
        }
        assertEquals(tree, packages().unpack("hello"));
    }

    @Test
    void unknownPackageIsNamed() throws Exception {
        DebianPackages packages = packages();
        IOException e = assertThrows(IOException.class, () -> packages.unpack("no-such"));
        assertEquals(
                "apt-get, needed to find package no-such: Unable to locate package no-such",
                e.getMessage());
        assertThrows(IllegalArgumentException.class, () -> packages.unpack("-o"));
        assertThrows(IllegalArgumentException.class, packages::unpackWithDependencies);
    }

    @Test
    void listsAreFetchedAgainAfterADay() throws Exception {
        assertEquals("1:1.0-1", version(packages().unpack("hello"), "hello"));
        repository.add("hello", "1:1.1-1", "");
        DebianPackages packages = packages();
        assertEquals("1:1.0-1", version(packages.unpack("hello"), "hello"));
        now = now.plus(Duration.ofHours(25));
        assertEquals("1:1.1-1", version(packages.unpack("hello"), "hello"));
        repository.add("hello", "1:1.2-1", "");
        now = now.minus(Duration.ofDays(300));
        assertEquals("1:1.2-1", version(packages().unpack("hello"), "hello"), "a clock set back");
    }

    @Test
    void listsAreFetchedAgainForAPackageThatTheyDoNotHave() throws Exception {
        packages().unpack("hello");
        repository.add("fresh", "2", "");
        assertEquals("2", version(packages().unpack("fresh"), "fresh"));
    }

    @Test
    void listsAreFetchedAgainWhenAVersionIsGone() throws Exception {
        Path old = repository.add("other", "1", "");
        DebianPackages packages = packages();
        packages.unpack("hello");
        Files.delete(old);
        repository.add("other", "2", "");
        repository.publish();
        assertEquals("2", version(packages.unpack("other"), "other"));
    }

    @Test
    void damagedDownloadLeavesNothing() throws Exception {
        Path deb = repository.add("bad", "1", "");
        DebianPackages packages = packages();
        byte[] bytes = Files.readAllBytes(deb);
        bytes[bytes.length / 2] ^= 1;
        Files.write(deb, bytes);
        IOException e = assertThrows(IOException.class, () -> packages.unpack("bad"));
        assertTrue(Problem.line(e).contains("to download bad_1_amd64.deb: "), e.getMessage());
        assertEquals(1, String.valueOf(e.getMessage()).lines().count());
        assertEquals(List.of(), cache.entries());
    }

    @Test
    void withoutANetworkTheCacheIsUsed() throws Exception {
        DebianPackages packages = packages();
        Path tree = packages.unpack("hello");
        Path all = packages.unpackWithDependencies("hello");
        repository.remove();
        now = now.plus(Duration.ofDays(2));
        assertEquals(tree, packages.unpack("hello"));
        assertEquals(all, packages.unpackWithDependencies("hello"));
        IOException e = assertThrows(IOException.class, () -> packages.unpack("no-such"));
        assertTrue(
                Problem.line(e).contains("Unable to locate package no-such; and "), e.getMessage());
    }

    @Test
    void withoutListsTheVersionUsedLastIsTaken() throws Exception {
        Pattern pattern = Pattern.compile("hel.*");
        DebianPackages packages = packages();
        Path tree = packages.unpack("hello");
        Path all = packages.unpackWithDependencies("hello");
        repository.remove();
        Trees.delete(directory.resolve("cache/.state"));
        assertEquals(tree, packages.unpack("hello"));
        assertEquals(all, packages.unpackWithDependencies("hello"));
        assertEquals("hello", packages.dependency("meta", pattern));
        Files.delete(tree.resolve("usr/share/hello/version"));
        assertThrows(IOException.class, () -> packages.unpack("hello"), "but not a broken one");
    }

    @Test
    void missingSourcesAreReportedUnlessTheCacheHelps() {
        var packages =
                new DebianPackages(
                        cache,
                        () -> {
                            throw new IOException("no keys");
                        },
                        () -> now);
        IOException e = assertThrows(IOException.class, () -> packages.unpack("hello"));
        assertEquals("no keys", e.getMessage());
    }

    @Test
    void dependencyOfAMetapackageIsFound() throws Exception {
        repository.add("linux-image-6.1.0-1-cloud-amd64", "6.1.1", "");
        DebianPackages packages = packages();
        Pattern kernel = Pattern.compile("linux-image-[0-9].*");
        assertEquals("linux-image-6.1.0-1-cloud-amd64", packages.dependency("meta", kernel));
        IOException e = assertThrows(IOException.class, () -> packages.dependency("hello", kernel));
        assertTrue(Problem.line(e).startsWith("package hello depends on none"), e.getMessage());
    }

    @Test
    void dependenciesComeWithThePackageAndRecommendationsDoNot() throws Exception {
        repository.add("liba", "1", "Pre-Depends: hello\n");
        repository.add("libb", "1", "Depends: liba\nSuggests: meta\n");
        repository.add("tool", "1", "Depends: liba (>= 1), nowhere | libb\nRecommends: meta\n");
        Path tree = packages().unpackWithDependencies("tool");
        assertEquals("1", version(tree, "tool"));
        assertEquals("1", version(tree, "liba"));
        assertEquals("1", version(tree, "libb"));
        assertEquals("1:1.0-1", version(tree, "hello"));
        assertFalse(Files.exists(tree.resolve("usr/share/meta")));
        assertEquals(tree, packages().unpackWithDependencies("tool", "tool"));
        repository.add("libb", "2", "");
        now = now.plus(Duration.ofDays(2));
        Path newer = packages().unpackWithDependencies("tool");
        assertNotEquals(tree, newer);
        assertEquals("2", version(newer, "libb"));
    }

    @Test
    void unusableDirectoryIsNamed() throws Exception {
        AptSources sources = repository.publish();
        var odd = new ArtifactCache(directory.resolve("a\"b"));
        var packages = new DebianPackages(odd, () -> sources, () -> now);
        IOException e = assertThrows(IOException.class, () -> packages.unpack("hello"));
        assertTrue(
                Problem.line(e).startsWith("apt can't work in a directory of this name: "),
                e.getMessage());
    }
}
