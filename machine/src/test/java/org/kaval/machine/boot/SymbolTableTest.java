package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SymbolTableTest {
    private static final long TEXT = 0xffff_ffff_8100_0000L;

    @TempDir private Path directory;

    private SymbolTable map(String text) throws IOException {
        return SymbolTable.read(Files.writeString(directory.resolve("System.map"), text));
    }

    private SymbolTable elf(byte[] bytes) throws IOException {
        return SymbolTable.read(Files.write(directory.resolve("vmlinux"), bytes));
    }

    private String refusal(byte[] bytes) {
        var refused = assertThrows(BootFileException.class, () -> elf(bytes));
        return String.valueOf(refused.getMessage()).replace(directory + "/", "");
    }

    @Test
    void addressBelongsToTheSymbolBeforeIt() throws Exception {
        SymbolTable symbols = map("ffffffff81000000 T startup_64\nffffffff81000100 t verify_cpu\n");

        assertEquals(Optional.empty(), symbols.at(TEXT - 1));
        assertEquals(Optional.of("startup_64+0x0"), symbols.at(TEXT));
        assertEquals(Optional.of("startup_64+0xff"), symbols.at(TEXT + 0xff));
        assertEquals(Optional.of("verify_cpu+0x0"), symbols.at(TEXT + 0x100));
    }

    @Test
    void addressFarBehindTheLastSymbolBelongsToNone() throws Exception {
        SymbolTable symbols = map("ffffffff81000000 T startup_64\n");

        assertEquals(Optional.of("startup_64+0xfffff"), symbols.at(TEXT + 0xf_ffff));
        assertEquals(Optional.empty(), symbols.at(TEXT + 0x10_0000));
    }

    @Test
    void namesHaveAddresses() throws Exception {
        SymbolTable symbols = map("ffffffff81000000 T startup_64\nffffffff81000100 W weak\n");

        assertEquals(OptionalLong.of(TEXT + 0x100), symbols.address("weak"));
        assertEquals(OptionalLong.empty(), symbols.address("wea"));
    }

    @Test
    void dataIsLeftOut() throws Exception {
        SymbolTable symbols =
                map(
                        """
                        0000000000000000 D __per_cpu_start
                        0000000000000000 A fixed_percpu_data
                        ffffffff81000000 T startup_64
                        ffffffff82000000 B data
                        """);

        assertEquals(1, symbols.size());
        assertEquals(Optional.empty(), symbols.at(0x10));
    }

    @Test
    void orderDoesNotMatterNorDoesTheLastLinesEnd() throws Exception {
        SymbolTable symbols = map("ffffffff81000100 T second\n\n0000000000100000 T first");

        assertEquals(Optional.of("first+0x4"), symbols.at(0x10_0004));
        assertEquals(Optional.of("second+0x4"), symbols.at(TEXT + 0x104));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "ffffffff81000000 T",
                "ffffffff8100000 T startup_64",
                "ffffffff8100000g T startup_64",
                "ffffffff81000000 TT startup_64",
                "hello"
            })
    void lineOfAnotherFormatIsRefusedWithItsOffset(String line) {
        var refused =
                assertThrows(
                        BootFileException.class, () -> map("ffffffff81000000 T a\n" + line + "\n"));

        assertEquals(
                directory
                        + "/System.map: offset 0x15: no line of a System.map, expected 16 digits,"
                        + " a type and a name",
                refused.getMessage());
    }

    @Test
    void lineWithoutAnEndIsRefused() {
        String line = "ffffffff81000000 T " + "a".repeat(2000);

        assertEquals(0, assertThrows(BootFileException.class, () -> map(line)).offset());
    }

    @Test
    void symbolsOfElf64AreRead() throws Exception {
        SymbolTable symbols =
                elf(
                        ElfBuilder.elf64()
                                .load(0x10_0000, new byte[4])
                                .symbol("second", TEXT + 8)
                                .symbol("first", TEXT)
                                .build());

        assertEquals(2, symbols.size());
        assertEquals(Optional.of("first+0x7"), symbols.at(TEXT + 7));
        assertEquals(Optional.of("second+0x2"), symbols.at(TEXT + 10));
    }

    @Test
    void symbolsOfElf32AreRead() throws Exception {
        SymbolTable symbols =
                elf(
                        ElfBuilder.elf32()
                                .load(0x10_0000, new byte[4])
                                .symbol("main", 0xc010_0000L)
                                .build());

        assertEquals(Optional.of("main+0x1"), symbols.at(0xc010_0001L));
    }

    @Test
    void elfWithoutSymbolsHasNone() throws Exception {
        assertEquals(0, elf(ElfBuilder.elf64().load(0x10_0000, new byte[4]).build()).size());
    }

    @Test
    void brokenTablesAreRefused() {
        byte[] good =
                ElfBuilder.elf64().load(0x10_0000, new byte[4]).symbol("main", 0x10_0000).build();
        ByteBuffer bytes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        int headers = (int) bytes.getLong(40);
        int symbols = headers + 2 * 64;

        assertEquals(
                "vmlinux: offset 0x%x: section 9 has the names, expected one of 4"
                        .formatted(symbols + 40),
                refusal(with(good, symbols + 40, 9)));
        assertEquals(
                "vmlinux: offset 0x%x: 0x7fffffff bytes of symbols, expected at most 0x3000000"
                        .formatted(symbols + 32),
                refusal(with(good, symbols + 32, Integer.MAX_VALUE)));
        assertEquals(
                "vmlinux: offset 0x3a: section headers of 65 bytes, expected 64",
                refusal(with(good, 58, 4 << 16 | 65)));
    }

    private static byte[] with(byte[] original, int offset, int value) {
        byte[] changed = original.clone();
        ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN).putInt(offset, value);
        return changed;
    }

    @Test
    void nameThatIsNotThereIsLeftOut() throws Exception {
        byte[] good =
                ElfBuilder.elf64().load(0x10_0000, new byte[4]).symbol("main", 0x10_0000).build();
        int table = 0x1000 + 4 + 24;

        assertEquals(0, elf(with(good, table, -1)).size());
        assertEquals(0, elf(with(good, table, 1000)).size());
    }
}
