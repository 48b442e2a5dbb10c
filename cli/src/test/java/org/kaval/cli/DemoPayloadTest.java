package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The demo guest is what its source says; needs the GNU assembler and linker (package binutils).
class DemoPayloadTest {
    @TempDir Path directory;

    @Test
    void binaryIsTheSourceAssembled() throws Exception {
        Path object = directory.resolve("demo.o");
        Path binary = directory.resolve("demo.bin");
        run("as", "-o", object.toString(), "src/main/payload/demo.S");
        run(
                "ld",
                "-Ttext=0x100000",
                "--oformat=binary",
                "-o",
                binary.toString(),
                object.toString());

        try (InputStream packaged = DemoCommand.class.getResourceAsStream("demo.bin")) {
            assertArrayEquals(Files.readAllBytes(binary), packaged.readAllBytes());
        }
    }

    private static void run(String... command) throws Exception {
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor());
    }
}
