package org.kaval.testing.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What most tests use of JUnit, so that a worker that has run this once has it loaded.
final class WarmUp {
    @TempDir Path directory;

    @BeforeEach
    @AfterEach
    void fixture() {
        assertEquals(4, 2 + 2);
    }

    @Test
    void passes() {
        assertThrows(IllegalStateException.class, WarmUp::fail);
        System.out.printf("%s 0x%x%n", directory, Files.exists(directory) ? 1 : 0);
    }

    @Test
    void fails() {
        assertEquals("warm", "cold");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void takesParameters(int number) {
        assertEquals(number, Math.abs(number));
    }

    private static void fail() {
        throw new IllegalStateException("as expected");
    }
}
