package org.kaval.machine.diagnosis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.SymbolTable;
import org.kaval.machine.diagnosis.VcpuPicture.Activity;
import org.kaval.machine.diagnosis.VcpuPicture.Mode;

class CodeLocationTest {
    private static final Path KERNEL = Path.of("/boot/vmlinuz");
    private static final BootDescription COMPRESSED = new BootDescription(KERNEL, "quiet", true);
    private static final BootDescription FIXED = new BootDescription(KERNEL, "quiet", false);
    private static final BootDescription NOKASLR =
            new BootDescription(KERNEL, "quiet nokaslr", true);

    private static final long SLIDE = 0x1a40_0000;
    private static final long DO_IDLE = 0xffff_ffff_8110_0000L;
    private static final long SYSCALL = 0xffff_ffff_81a0_0040L;
    private static final long DIVIDE = 0xffff_ffff_81a0_0b00L;
    private static final String RANDOMIZED =
            "address randomized (KASLR), and the kernel has not yet told the processor where it is";

    @TempDir private Path directory;
    private SymbolTable symbols;

    @BeforeEach
    void readSymbols() throws IOException {
        symbols =
                SymbolTable.read(
                        Files.writeString(
                                directory.resolve("System.map"),
                                """
                                ffffffff81000000 T startup_64
                                ffffffff81100000 T do_idle
                                ffffffff81a00040 T entry_SYSCALL_64
                                ffffffff81a00b00 T asm_exc_divide_error
                                """));
    }

    private String locate(BootDescription boot, VcpuPicture vcpu) {
        return new CodeLocation(symbols, boot, List.of(vcpu)).of(vcpu);
    }

    @Test
    void kernelThatDoesNotMoveIsWhereItsSymbolsAre() {
        assertEquals("do_idle+0x12", locate(FIXED, Pictures.at(DO_IDLE + 0x12)));
        assertEquals("do_idle+0x12", locate(NOKASLR, Pictures.at(DO_IDLE + 0x12)));
    }

    @Test
    void slideShowsInTheSystemCallEntry() {
        VcpuPicture vcpu = Pictures.known(DO_IDLE + SLIDE + 0x12, 0, SYSCALL + SLIDE);

        assertEquals("do_idle+0x12, moved by 0x1a400000 (KASLR)", locate(COMPRESSED, vcpu));
    }

    @Test
    void slideShowsInTheExceptionHandlers() {
        VcpuPicture vcpu = Pictures.known(DO_IDLE + SLIDE, DIVIDE + SLIDE, 0);

        assertEquals("do_idle+0x0, moved by 0x1a400000 (KASLR)", locate(COMPRESSED, vcpu));
    }

    @Test
    void slideOfZeroIsNotWorthAWord() {
        VcpuPicture vcpu = Pictures.known(DO_IDLE, 0, SYSCALL);

        assertEquals("do_idle+0x0", locate(COMPRESSED, vcpu));
    }

    @Test
    void oneVcpuTellsForAll() {
        VcpuPicture idle = Pictures.at(DO_IDLE + SLIDE);
        VcpuPicture telling = Pictures.known(DO_IDLE + SLIDE, 0, SYSCALL + SLIDE);

        assertEquals(
                "do_idle+0x0, moved by 0x1a400000 (KASLR)",
                new CodeLocation(symbols, COMPRESSED, List.of(idle, telling)).of(idle));
    }

    @Test
    void impossibleSlideIsNone() {
        assertEquals(
                RANDOMIZED, locate(COMPRESSED, Pictures.known(DO_IDLE, 0, SYSCALL + SLIDE + 1)));
        assertEquals(
                RANDOMIZED, locate(COMPRESSED, Pictures.known(DO_IDLE, 0, SYSCALL - 0x20_0000)));
        assertEquals(
                RANDOMIZED, locate(COMPRESSED, Pictures.known(DO_IDLE, 0, SYSCALL + (1L << 30))));
    }

    @Test
    void unknownSlideIsNotGuessed() {
        assertEquals(RANDOMIZED, locate(COMPRESSED, Pictures.at(DO_IDLE)));
    }

    @Test
    void lowAddressesOfACompressedKernelAreItsDecompressor() {
        assertEquals(
                "the kernel's decompressor, or its first instructions",
                locate(COMPRESSED, Pictures.at(0x100_0200)));
    }

    @Test
    void lowAddressesOfAnotherKernelArePhysical() {
        assertEquals(
                "startup_64+0x30, at its physical address", locate(FIXED, Pictures.at(0x100_0030)));
    }

    @Test
    void programsOfTheGuestHaveNoSymbols() {
        var vcpu =
                new VcpuPicture(
                        0, Activity.RUNNING, Mode.LONG, 0x40_0000, 3, true, "90", 0xfff, 0, 0);

        assertEquals("a program of the guest's", locate(FIXED, vcpu));
    }

    @Test
    void withoutSymbolsNothingIsSaid() {
        VcpuPicture vcpu = Pictures.at(DO_IDLE);

        assertEquals("", new CodeLocation(null, COMPRESSED, List.of(vcpu)).of(vcpu));
    }
}
