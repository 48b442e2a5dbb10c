package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// With a kernel that looks for the pages itself, where it can, and with one that shows all.
class PageMapTest {
    private static final long PAGE = Mmap.PAGE_SIZE;
    private static final int FIRST = 7; // bit of the first page

    @TempDir private Path directory;
    private final Arena arena = Arena.ofShared();

    @AfterEach
    void free() {
        arena.close();
    }

    private static BitSet own(MemorySegment memory, boolean scans) throws ErrnoException {
        var pages = new BitSet();
        try (PageMap map = PageMap.open(scans)) {
            map.addOwn(memory, pages, FIRST);
        }
        return pages;
    }

    /// @param pages which of the memory's
    private static BitSet bits(int... pages) {
        var bits = new BitSet();
        for (int page : pages) {
            bits.set(FIRST + page);
        }
        return bits;
    }

    private static void write(MemorySegment memory, long page) {
        memory.set(JAVA_BYTE, page * PAGE + 1, (byte) 1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void pagesThatWereWrittenAreOwn(boolean scans) throws ErrnoException {
        MemorySegment memory = Mmap.anonymous(arena, 16 * PAGE);
        write(memory, 0);
        write(memory, 3);
        write(memory, 4);
        write(memory, 15);

        assertEquals(bits(0, 3, 4, 15), own(memory, scans));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void pagesOfAFileAreOwnOnceTheyWereWritten(boolean scans) throws IOException {
        Path path = Files.write(directory.resolve("file"), new byte[(int) (8 * PAGE)]);
        try (Fd file = Fd.open(path, Fd.Access.READ)) {
            MemorySegment memory = Mmap.privateFile(arena, file, 0, 8 * PAGE);
            assertEquals(0, memory.get(JAVA_BYTE, 2 * PAGE)); // it is there, and the file's
            write(memory, 5);

            assertEquals(bits(5), own(memory, scans));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void pageThatWasGivenBackIsNot(boolean scans) throws ErrnoException {
        MemorySegment memory = Mmap.anonymous(arena, 4 * PAGE);
        write(memory, 1);
        write(memory, 2);
        Mmap.discardPrivate(memory, PAGE, PAGE);

        assertEquals(bits(2), own(memory, scans));
    }

    /// More pieces than a look has room for, and more pages than it takes at once.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void manyPiecesAreAllFound(boolean scans) throws ErrnoException {
        int pages = 20_000;
        MemorySegment memory = Mmap.anonymous(arena, pages * PAGE);
        var expected = new BitSet();
        for (int page = 0; page < pages; page += 3) {
            write(memory, page);
            expected.set(FIRST + page);
        }

        assertEquals(expected, own(memory, scans));
    }
}
