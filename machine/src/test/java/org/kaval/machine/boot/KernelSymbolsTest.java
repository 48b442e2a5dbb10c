package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelSymbolsTest {
    private static final String MAP = "0000000000100000 T main\n";

    @TempDir private Path directory;
    private Path debug = Path.of("");
    private Path kernel = Path.of("");

    @BeforeEach
    void makeKernel() throws IOException {
        debug = directory.resolve("debug");
        kernel = Files.write(directory.resolve("vmlinuz-6.1.0-9-amd64"), new byte[8]);
    }

    private Path write(Path file) throws IOException {
        Files.createDirectories(file.getParent());
        return Files.writeString(file, MAP);
    }

    private void assertFound(Path file) {
        KernelSymbols found = KernelSymbols.find(kernel, debug);

        assertNotNull(found.table(), found.note());
        assertEquals(Optional.of("main+0x2"), found.table().at(0x10_0002));
        assertEquals("symbols are from " + file, found.note());
    }

    @Test
    void mapOfTheSameVersionIsFoundBesideTheKernel() throws Exception {
        write(directory.resolve("System.map-6.1.0-8-amd64"));
        assertFound(write(directory.resolve("System.map-6.1.0-9-amd64")));
    }

    @Test
    void mapWithoutAVersionIsFound() throws Exception {
        assertFound(write(directory.resolve("System.map")));
    }

    @Test
    void mapOfAPackageWithDebugSymbolsIsFound() throws Exception {
        assertFound(write(debug.resolve("boot/System.map-6.1.0-9-amd64")));
    }

    @Test
    void mapInTheKernelsBuildIsFound() throws Exception {
        kernel = write(directory.resolve("linux/arch/x86/boot/bzImage"));

        assertFound(write(directory.resolve("linux/System.map")));
    }

    @Test
    void symbolsOfTheKernelItselfComeFirst() throws Exception {
        write(directory.resolve("System.map"));
        byte[] elf =
                ElfBuilder.elf64().load(0x10_0000, new byte[4]).symbol("main", 0x10_0000).build();
        kernel = Files.write(directory.resolve("vmlinux"), elf);

        assertFound(kernel);
    }

    @Test
    void stubSaysWhereTheSymbolsAre() throws Exception {
        Path stub = directory.resolve("System.map-6.1.0-9-amd64");
        // as Debian's packages have it
        Files.writeString(
                stub,
                "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n");

        KernelSymbols found = KernelSymbols.find(kernel, debug);

        assertNull(found.table());
        assertEquals(
                "no symbols: "
                        + stub
                        + " has no symbols of code: The real System.map is in the"
                        + " linux-image-<version>-dbg package",
                found.note());
    }

    @Test
    void stubDoesNotKeepOthersFromBeingFound() throws Exception {
        Files.writeString(
                directory.resolve("System.map-6.1.0-9-amd64"), "ffffffffffffffff B elsewhere\n");

        assertFound(write(debug.resolve("boot/System.map-6.1.0-9-amd64")));
    }

    @Test
    void nothingIsNothing() {
        KernelSymbols found = KernelSymbols.find(kernel, debug);

        assertNull(found.table());
        assertEquals("no symbols: no System.map beside " + kernel, found.note());
    }

    @Test
    void fileThatItsUserHasNamedIsAsked() throws Exception {
        Path wrong = Files.writeString(directory.resolve("notes.txt"), "hello\n");

        KernelSymbols found = KernelSymbols.of(wrong);

        assertNull(found.table());
        assertEquals(
                "no symbols: "
                        + wrong
                        + ": offset 0x0: no line of a System.map, expected 16 digits, a type and"
                        + " a name",
                found.note());
    }
}
