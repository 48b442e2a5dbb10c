package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.NullAndEmptySource;
import org.junit.jupiter.params.provider.ValueSource;

/// What is in the cache comes out whole, or not at all.
class KernelCacheTest {
    private static final byte[] KERNEL = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    private static final String KEY = "a".repeat(64);

    @TempDir private Path directory;
    private Path path;
    private KernelCache cache;

    @BeforeEach
    void make() {
        path = directory.resolve("kaval").resolve("kernels");
        cache = new KernelCache(path);
    }

    private void add(String key) {
        cache.add(key, MemorySegment.ofArray(KERNEL));
    }

    private Optional<byte[]> read(String key) throws IOException {
        Optional<ImageFile> found = cache.open(key, "kernel");
        if (found.isEmpty()) {
            return Optional.empty();
        }
        try (ImageFile file = found.get()) {
            byte[] bytes = new byte[(int) file.size()];
            ByteBuffer all = file.read(0, bytes.length, "all");
            all.get(bytes);
            return Optional.of(bytes);
        }
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(path)) {
            return files.map(file -> String.valueOf(file.getFileName())).sorted().toList();
        }
    }

    @Test
    void whatIsNotThereIsNotFound() throws IOException {
        assertTrue(read(KEY).isEmpty());
        assertTrue(Files.notExists(path));
    }

    @Test
    void whatIsAddedIsFound() throws IOException {
        add(KEY);

        assertArrayEquals(KERNEL, read(KEY).orElseThrow());
        assertTrue(read("b".repeat(64)).isEmpty());
    }

    @Test
    void onlyTheUserMayLookIntoIt() throws IOException {
        add(KEY);

        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(path.resolve(KEY))));
    }

    @Test
    void nothingIsLeftOfWriting() throws IOException {
        add(KEY);
        add(KEY);

        assertEquals(List.of(KEY), files());
    }

    static IntStream bytes() {
        return IntStream.range(0, KERNEL.length + 24);
    }

    @ParameterizedTest
    @MethodSource("bytes")
    void fileWithAChangedByteIsRemovedAndMadeAnew(int at) throws IOException {
        add(KEY);
        byte[] broken = Files.readAllBytes(path.resolve(KEY));
        broken[at] ^= 1;
        Files.write(path.resolve(KEY), broken);

        assertTrue(read(KEY).isEmpty());
        assertEquals(List.of(), files());
        add(KEY);
        assertArrayEquals(KERNEL, read(KEY).orElseThrow());
    }

    @ParameterizedTest
    @MethodSource("bytes")
    void fileThatIsCutShortIsRemoved(int length) throws IOException {
        add(KEY);
        byte[] whole = Files.readAllBytes(path.resolve(KEY));
        Files.write(path.resolve(KEY), Arrays.copyOf(whole, length));

        assertTrue(read(KEY).isEmpty());
        assertEquals(List.of(), files());
    }

    @Test
    void directoryThatCannotBeMadeIsNoError() throws IOException {
        Files.write(directory.resolve("kaval"), KERNEL); // a file is in its way

        add(KEY);

        assertTrue(read(KEY).isEmpty());
    }

    @Test
    void entryThatIsNoFileIsNoError() throws IOException {
        Files.createDirectories(path.resolve(KEY).resolve("child"));

        add(KEY);

        assertTrue(read(KEY).isEmpty());
        assertEquals(List.of(KEY), files());
    }

    private void age(String name, long hours) throws IOException {
        long millis = System.currentTimeMillis() - hours * 3_600_000;
        Files.setLastModifiedTime(path.resolve(name), FileTime.fromMillis(millis));
    }

    @Test
    void thoseThatHaveNotBeenUsedForLongestAreRemoved() throws IOException {
        for (int i = 1; i <= 8; i++) {
            add("k" + i);
            age("k" + i, i);
        }
        assertTrue(read("k8").isPresent()); // is the latest now

        add("new");

        assertEquals(List.of("k1", "k2", "k3", "k4", "k5", "k6", "k8", "new"), files());
    }

    @Test
    void unfinishedFilesAreRemovedOnceTheyAreOld() throws IOException {
        add(KEY);
        Files.write(path.resolve("old.tmp"), KERNEL);
        Files.write(path.resolve("young.tmp"), KERNEL);
        age("old.tmp", 2);

        add(KEY);

        assertEquals(List.of(KEY, "young.tmp"), files());
    }

    @Test
    void cacheOfTheUserIsWhereXdgSays() {
        assertEquals(Path.of("/c/kaval/kernels"), KernelCache.ofUser("/c", "/h").directory());
    }

    @ParameterizedTest
    @NullAndEmptySource
    @ValueSource(strings = {"relative", "./c"})
    void elseItIsInTheirHome(@Nullable String variable) {
        assertEquals(
                Path.of("/h/.cache/kaval/kernels"), KernelCache.ofUser(variable, "/h").directory());
    }
}
