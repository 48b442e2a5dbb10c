package org.kaval.guests;

import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ArtifactCacheTest {
    private static final ArtifactCache.Builder UNWANTED =
            _ -> {
                throw new AssertionError("builds what is there");
            };

    @TempDir Path root;
    private ArtifactCache cache;
    private final AtomicInteger builds = new AtomicInteger();

    @BeforeEach
    void open() {
        cache = new ArtifactCache(root);
    }

    private void build(Path directory) throws IOException {
        builds.incrementAndGet();
        Files.writeString(directory.resolve("file"), "content");
        Files.createDirectories(directory.resolve("a/b c"));
        Files.writeString(directory.resolve("a/b c/run"), "#!/bin/sh\n");
        Files.createSymbolicLink(directory.resolve("a/link"), Path.of("../file"));
    }

    private Path get() throws IOException, InterruptedException {
        return cache.directory("kind", "1.0", this::build);
    }

    private List<String> leftovers(String kind) throws IOException {
        try (Stream<Path> left = Files.list(root.resolve(kind, ".making"))) {
            return left.map(Path::toString).toList();
        }
    }

    @Test
    void entryIsMadeOnceAndThenFound() throws Exception {
        Path directory = get();
        assertEquals(root.toRealPath().resolve("kind/1.0"), directory);
        assertEquals("content", Files.readString(directory.resolve("file")));
        assertEquals(directory, cache.directory("kind", "1.0", UNWANTED));
        assertEquals(directory, new ArtifactCache(root).directory("kind", "1.0", UNWANTED));
        assertEquals(List.of(), leftovers("kind"));
    }

    @Test
    void keysAndKindsAreApart() throws Exception {
        Path one = get();
        Path two = cache.directory("kind", "2.0", this::build);
        Path three = cache.directory("other", "1.0", this::build);
        assertEquals(3, Stream.of(one, two, three).distinct().count());
        assertEquals(3, builds.get());
    }

    @Test
    void alteredFileIsMadeAnew() throws Exception {
        Path file = get().resolve("file");
        FileTime before = Files.getLastModifiedTime(file);
        Files.writeString(file, "CONTENT");
        Files.setLastModifiedTime(file, FileTime.from(before.toInstant().plusNanos(1)));
        assertEquals("content", Files.readString(get().resolve("file")));
        assertEquals(2, builds.get());
    }

    @Test
    void truncatedFileIsMadeAnewThoughItsTimeIsTheSame() throws Exception {
        Path file = get().resolve("file");
        FileTime before = Files.getLastModifiedTime(file);
        Files.writeString(file, "cont");
        Files.setLastModifiedTime(file, before);
        assertEquals("content", Files.readString(get().resolve("file")));
    }

    @Test
    void missingFileIsMadeAnew() throws Exception {
        Files.delete(get().resolve("a/b c/run"));
        assertTrue(Files.exists(get().resolve("a/b c/run")));
    }

    @Test
    void missingDirectoryIsMadeAnew() throws Exception {
        Trees.delete(get());
        assertTrue(Files.exists(get().resolve("file")));
    }

    @Test
    void unknownFileIsRemoved() throws Exception {
        Files.createFile(get().resolve("a/stranger"));
        assertFalse(Files.exists(get().resolve("a/stranger")));
    }

    @Test
    void fileThatMayNotBeExecutedAnyMoreIsMadeAnew() throws Exception {
        Path file = get().resolve("file");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("---------"));
        get();
        assertEquals(2, builds.get());
    }

    @Test
    void redirectedLinkIsMadeAnew() throws Exception {
        Path link = get().resolve("a/link");
        Files.delete(link);
        Files.createSymbolicLink(link, Path.of("/etc/passwd"));
        assertEquals(Path.of("../file"), Files.readSymbolicLink(get().resolve("a/link")));
    }

    @Test
    void entryWithoutListIsMadeAnew() throws Exception {
        get();
        Files.delete(root.resolve("kind/.manifests/1.0"));
        get();
        assertEquals(2, builds.get());
        assertEquals(get(), cache.directory("kind", "1.0", UNWANTED));
    }

    @Test
    void truncatedListIsMadeAnew() throws Exception {
        get();
        Path manifest = root.resolve("kind/.manifests/1.0");
        byte[] half = Files.readString(manifest).substring(10).getBytes(StandardCharsets.UTF_8);
        Files.write(manifest, half);
        get();
        assertEquals(2, builds.get());
    }

    @Test
    void garbageInPlaceOfAnEntryAndItsListIsReplaced() throws Exception {
        Files.createDirectories(root.resolve("kind/.manifests/1.0/x"));
        Files.write(root.resolve("kind/1.0"), new byte[] {1, 2, 3});
        assertEquals("content", Files.readString(get().resolve("file")));
        assertEquals(get(), cache.directory("kind", "1.0", UNWANTED));
    }

    @Test
    void leftoversOfAKilledBuilderAreSwept() throws Exception {
        Path left = root.resolve("kind/.making/1.0@0badcafe/locked");
        Files.createDirectories(left);
        Files.createFile(left.resolve("half"));
        Files.setPosixFilePermissions(left, PosixFilePermissions.fromString("r-xr-xr-x"));
        Path other = Files.createDirectories(root.resolve("kind/.making/2.0@0badcafe"));
        get();
        assertEquals(List.of(other.toString()), leftovers("kind"));
    }

    @Test
    void failedBuilderLeavesNothingAndSaysWhatFailed() throws Exception {
        ArtifactCache.Builder failing =
                d -> {
                    build(d);
                    throw new IOException("the moon is full");
                };
        IOException e =
                assertThrows(IOException.class, () -> cache.directory("kind", "1.0", failing));
        Path directory = root.toRealPath().resolve("kind/1.0");
        assertEquals("cannot make " + directory + ": the moon is full", e.getMessage());
        assertFalse(Files.exists(directory));
        assertEquals(List.of(), leftovers("kind"));
        assertTrue(Files.exists(get()));
    }

    @Test
    void buildersBugLeavesNothingEither() throws Exception {
        ArtifactCache.Builder failing =
                d -> {
                    build(d);
                    throw new ArithmeticException();
                };
        assertThrows(ArithmeticException.class, () -> cache.directory("kind", "1.0", failing));
        assertEquals(List.of(), leftovers("kind"));
    }

    @Test
    void fileInPlaceOfTheRootIsNamed() throws Exception {
        Path file = Files.createFile(root.resolve("file"));
        IOException e =
                assertThrows(
                        IOException.class,
                        () -> new ArtifactCache(file).directory("kind", "1", UNWANTED));
        assertEquals(
                "cannot make %s/kind/1: %s: exists already".formatted(file, file), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "/", ".hidden", "a@b", "a b", "a\0b", "ä", "-rf"})
    void nonsenseIsNoKeyAndNoKind(String name) {
        assertThrows(IllegalArgumentException.class, () -> cache.directory("kind", name, UNWANTED));
        assertThrows(IllegalArgumentException.class, () -> cache.directory(name, "key", UNWANTED));
        assertThrows(IllegalArgumentException.class, () -> cache.discard("kind", name));
        assertThrows(IllegalArgumentException.class, () -> cache.discard(name, "key"));
    }

    @Test
    void longestKeyWorksAndLongerIsRefused() throws Exception {
        assertTrue(Files.exists(cache.directory("kind", "k".repeat(200), this::build)));
        assertThrows(
                IllegalArgumentException.class,
                () -> cache.directory("kind", "k".repeat(201), UNWANTED));
    }

    @Test
    void builderThatAsksForItselfIsABug() {
        IllegalStateException e =
                assertThrows(
                        IllegalStateException.class,
                        () -> cache.directory("kind", "1.0", _ -> get()));
        assertEquals("a cache entry's builder asks for that entry", e.getMessage());
    }

    @Test
    void builderMayUseAnotherEntry() throws Exception {
        Path outer =
                cache.directory(
                        "kind", "2.0", d -> Files.copy(get().resolve("file"), d.resolve("copy")));
        assertEquals("content", Files.readString(outer.resolve("copy")));
    }

    @Test
    void discardedEntryIsMadeAnew() throws Exception {
        Path directory = get();
        cache.discard("kind", "1.0");
        assertFalse(Files.exists(directory));
        cache.discard("kind", "1.0");
        new ArtifactCache(root.resolve("missing")).discard("kind", "1.0");
        get();
        assertEquals(2, builds.get());
    }

    @Test
    void threadsThatAskAtOnceGetOneEntry() throws Exception {
        int threads = 8;
        var all = new CountDownLatch(threads);
        Callable<Path> user =
                () -> {
                    all.countDown();
                    all.await();
                    return new ArtifactCache(root).directory("kind", "1.0", this::build);
                };
        try (var executor = Executors.newFixedThreadPool(threads)) {
            var paths = executor.invokeAll(Collections.nCopies(threads, user));
            assertEquals(Set.of(get()), paths.stream().map(Future::resultNow).collect(toSet()));
        }
        assertEquals(1, builds.get());
    }

    @Test
    void waitingThreadCanBeInterruptedAndTheEntryIsStillMade() throws Exception {
        var building = new CountDownLatch(1);
        var finish = new CountDownLatch(1);
        try (var executor = Executors.newFixedThreadPool(2)) {
            Future<Path> builder =
                    executor.submit(() ->
                            cache.directory(
                                    "kind",
                                    "1.0",
                                    d -> {
                                        building.countDown();
                                        finish.await();
                                        build(d);
                                    }));
            building.await();
            var waiter = new AtomicInteger();
            Thread thread =
                    Thread.ofPlatform()
                            .start(() -> {
                                try {
                                    get();
                                } catch (InterruptedException e) {
                                    waiter.set(1);
                                } catch (IOException e) {
                                    waiter.set(2);
                                }
                            });
            thread.interrupt();
            thread.join();
            assertEquals(1, waiter.get());
            finish.countDown();
            assertTrue(Files.exists(builder.get().resolve("file")));
        }
        assertEquals(1, builds.get());
    }

    @Test
    void processesThatAskAtOnceGetOneEntry() throws Exception {
        try (Jvm a = Jvm.start(CacheUser.class, root, "kind", "1.0", "once");
                Jvm b = Jvm.start(CacheUser.class, root, "kind", "1.0", "once")) {
            List<String> both = Stream.of(a.lines(), b.lines()).flatMap(List::stream).toList();
            assertEquals(3, both.size(), both::toString);
            assertEquals(1, both.stream().filter("built"::equals).count());
            assertEquals(2, both.stream().distinct().count());
        }
    }

    @Test
    void killedProcessIsSucceededByTheOneThatWaits() throws Exception {
        try (Jvm killed = Jvm.start(CacheUser.class, root, "kind", "1.0", "hang")) {
            assertEquals("hanging", killed.line());
            try (Jvm waiting = Jvm.start(CacheUser.class, root, "kind", "1.0", "once")) {
                assertEquals(1, leftovers("kind").size());
                killed.kill();
                assertEquals("built", waiting.line());
                assertEquals(1, waiting.lines().size());
            }
        }
        assertEquals(List.of(), leftovers("kind"));
        assertTrue(Files.exists(cache.directory("kind", "1.0", UNWANTED)));
    }

    @Test
    void entriesUnusedForLongAreRemovedAndOthersKept() throws Exception {
        Instant now = Instant.now();
        fill("old", "1", now.minus(ArtifactCache.KEPT).minusSeconds(60));
        fill("recent", "1", now.minus(ArtifactCache.KEPT).plus(Duration.ofHours(1)));
        get();
        assertFalse(Files.exists(root.resolve("old/1")));
        assertFalse(Files.exists(root.resolve("old/.manifests/1")));
        assertTrue(Files.exists(root.resolve("recent/1/pid")));
        assertTrue(Files.exists(root.resolve("kind/1.0/file")));
    }

    @Test
    void ofOneKindTheLastUsedAreKept() throws Exception {
        Instant now = Instant.now();
        int count = ArtifactCache.KEPT_OF_A_KIND + 2;
        for (int i = 0; i < count; i++) {
            fill("many", "k" + i, now.minusSeconds(100 - i));
        }
        get();
        List<String> left =
                cache.entries().stream()
                        .filter(use -> use.kind().equals("many"))
                        .map(ArtifactCache.Use::key)
                        .toList();
        assertEquals(
                IntStream.iterate(count - 1, i -> i - 1)
                        .limit(ArtifactCache.KEPT_OF_A_KIND)
                        .mapToObj(i -> "k" + i)
                        .toList(),
                left);
    }

    @Test
    void entryOfALiveProcessIsKeptHoweverOld() throws Exception {
        Instant later = Instant.now().plus(Duration.ofDays(100));
        try (Jvm user = Jvm.start(CacheUser.class, root, "used", "1", "stay")) {
            assertEquals("built", user.line());
            user.line();
            new ArtifactCache(root, () -> later).directory("kind", "1.0", this::build);
            assertTrue(Files.exists(root.resolve("used/1/pid")));
        }
        new ArtifactCache(root, () -> later).directory("kind", "2.0", this::build);
        assertFalse(Files.exists(root.resolve("used/1")));
        assertTrue(Files.exists(root.resolve("kind/1.0")), "of this process, which is alive");
    }

    /// An entry that no process uses any more.
    private void fill(String kind, String key, Instant lastUse) throws Exception {
        Path directory = Files.createDirectories(root.resolve(kind, key));
        Files.writeString(directory.resolve("pid"), "1");
        Path manifests = Files.createDirectories(root.resolve(kind, ".manifests"));
        Path manifest = manifests.resolve(key);
        Files.writeString(manifest, Trees.describe(directory));
        Files.setLastModifiedTime(manifest, FileTime.from(lastUse));
        Files.createFile(Files.createDirectories(root.resolve(kind, ".locks")).resolve(key));
    }

    @Test
    void whatOthersKeepInTheRootIsLeftAlone() throws Exception {
        Path theirs = Files.createDirectories(root.resolve("theirs/some/thing"));
        Path file = Files.createFile(root.resolve("file"));
        Path stranger = Files.createDirectory(get().resolveSibling("stranger"));
        Instant later = Instant.now().plus(Duration.ofDays(100));
        new ArtifactCache(root, () -> later).directory("kind", "2.0", this::build);
        assertTrue(Files.exists(theirs));
        assertTrue(Files.exists(file));
        assertTrue(Files.exists(stranger));
        try (Stream<Path> children = Files.list(root.resolve("theirs"))) {
            assertEquals(List.of(theirs.getParent()), children.toList(), "nothing added");
        }
    }

    @Test
    void rootMayBeBehindALink() throws Exception {
        Path real = Files.createDirectory(root.resolve("real"));
        Path link = Files.createSymbolicLink(root.resolve("link"), real);
        Path directory = new ArtifactCache(link).directory("kind", "1", this::build);
        assertEquals(real.toRealPath().resolve("kind/1"), directory);
        assertEquals(directory, new ArtifactCache(real).directory("kind", "1", UNWANTED));
    }

    @Test
    void newRootIsItsUsersOnly() throws Exception {
        Path made = root.resolve("cache/kaval");
        new ArtifactCache(made).directory("kind", "1", this::build);
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(made)));
    }

    @Test
    void rootOfUserFollowsTheXdgSpecification() {
        String home = "/home/default";
        assertEquals(
                Path.of("/x/kaval"),
                ArtifactCache.rootOfUser(Map.of("XDG_CACHE_HOME", "/x", "HOME", "/h"), home));
        assertEquals(
                Path.of("/h/.cache/kaval"),
                ArtifactCache.rootOfUser(Map.of("XDG_CACHE_HOME", "x", "HOME", "/h"), home));
        assertEquals(
                Path.of("/h/.cache/kaval"),
                ArtifactCache.rootOfUser(Map.of("XDG_CACHE_HOME", "", "HOME", "/h"), home));
        assertEquals(
                Path.of("/home/default/.cache/kaval"),
                ArtifactCache.rootOfUser(Map.of("HOME", "h"), home));
    }

    @Test
    void fullDiskGivesOneLineAndLeavesNothing() throws Exception {
        try (SmallDisk disk = SmallDisk.mount(root, 1 << 20)) {
            // More than the disk holds, then the same entry in a size that it does hold.
            List<String> lines = disk.run(CacheUser.class, disk.path(), "kind", "1.0", "4000000");
            assertEquals(
                    List.of(
                            "cannot make %s/kind/1.0: No space left on device"
                                    .formatted(disk.path())),
                    lines);
            assertEquals(List.of(), disk.names("kind"));
            assertEquals(List.of(), disk.names("kind/.making"));
            assertEquals(List.of(), disk.names("kind/.manifests"));
            List<String> after = disk.run(CacheUser.class, disk.path(), "kind", "1.0", "1000");
            assertEquals("built", after.getFirst());
        }
    }

    @Test
    void deletingATreeDoesNotFollowLinks() throws Exception {
        Path outside = Files.createDirectory(root.resolve("outside"));
        Files.createFile(outside.resolve("kept"));
        Path tree = Files.createDirectory(root.resolve("tree"));
        Files.createSymbolicLink(tree.resolve("link"), outside);
        Trees.delete(tree);
        assertFalse(Files.exists(tree, LinkOption.NOFOLLOW_LINKS));
        assertTrue(Files.exists(outside.resolve("kept")));
    }

    @Test
    void namesOfAnyBytesAreDescribed() throws Exception {
        Path tree = Files.createDirectory(root.resolve("tree"));
        Files.createFile(tree.resolve("new\nline"));
        Files.createFile(tree.resolve("per%cent"));
        assertArrayEquals(
                new String[] {"", "/new%0Aline", "/per%25cent"},
                Trees.describe(tree).lines().map(l -> l.split("\t", -1)[0]).toArray());
    }
}
