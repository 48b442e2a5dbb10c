package org.kaval.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LogReaderTest {
    private static final String LOST = "\n[kaval: some of it is lost]\n";

    @TempDir Path directory;

    private final ByteArrayOutputStream read = new ByteArrayOutputStream();

    private Path log() {
        return directory.resolve("log");
    }

    /// As a {@link ConsoleLog} does that has reached its limit.
    private void beginAnother(String content) throws IOException {
        Files.deleteIfExists(directory.resolve("reused")); // or its number would be given anew
        if (Files.exists(ConsoleLog.older(log()))) {
            Files.move(ConsoleLog.older(log()), directory.resolve("reused"));
        }
        Files.move(log(), ConsoleLog.older(log()));
        Files.writeString(log(), content);
    }

    private void copy() throws Exception {
        LogReader.copy(log(), read, () -> false);
    }

    @Test
    void bothFilesAreRead() throws Exception {
        Files.writeString(log(), "one ");
        beginAnother("two");
        copy();
        assertEquals("one two", read.toString(US_ASCII));
    }

    /// A pipe that is full, as `kaval logs | less` has it.
    @Test
    void whatBeginsWhileTheReaderWaitsIsRead() throws Exception {
        Files.writeString(log(), "one ");
        beginAnother("two ");
        copyWhile(() -> beginAnother("three"));
        assertEquals("one two three", read.toString(US_ASCII));
    }

    @Test
    void lossIsTold() throws Exception {
        Files.writeString(log(), "one ");
        copyWhile(() -> {
            beginAnother("two ");
            beginAnother("three ");
            beginAnother("four");
        });
        assertEquals("one " + LOST + "three four", read.toString(US_ASCII));
    }

    @Test
    void whereThereIsNoLogNobodyWaits() {
        assertThrows(NoSuchFileException.class, this::copy);
    }

    private interface Action {
        void run() throws IOException;
    }

    private void copyWhile(Action first) throws Exception {
        var begun = new boolean[1];
        LogReader.copy(
                log(),
                read,
                () -> {
                    boolean goesOn = !begun[0];
                    if (goesOn) {
                        begun[0] = true;
                        first.run();
                    }
                    return goesOn;
                });
    }
}
