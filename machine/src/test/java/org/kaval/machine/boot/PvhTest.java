package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.machine.boot.EntryStates.Summary;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// The note of PVH and the start info (Xen, `docs/misc/pvh.pandoc`).
class PvhTest {
    private static final int MEBIBYTE = 1 << 20;
    private static final long INFO = 0x6000;
    private static final byte[] CODE = {1, 2, 3, 4, 5, 6, 7, 8};
    private static final Summary PVH = new Summary("protected", MEBIBYTE + 4, INFO);
    private static final Summary PLAIN = new Summary("long", MEBIBYTE, 0x7000);

    @TempDir private Path directory;
    private BootMachine machine;

    @BeforeEach
    void make() throws IOException {
        machine = BootMachine.of(64 * MEBIBYTE);
    }

    @AfterEach
    void free() {
        machine.close();
    }

    private static ElfBuilder elf() {
        return ElfBuilder.elf64().entry(MEBIBYTE).load(MEBIBYTE, CODE);
    }

    private static ElfBuilder kernel() {
        return elf().pvh(MEBIBYTE + 4);
    }

    private Summary load(ElfBuilder elf) throws IOException {
        return EntryStates.summary(machine.load(KernelBoot.of(elf.write(directory))));
    }

    private String refusal(ElfBuilder elf, long offset) throws IOException {
        Path file = elf.write(directory);
        return machine.refusal(KernelBoot.of(file), file, offset);
    }

    @Test
    void kernelIsEnteredAtItsNoteInProtectedMode() throws IOException {
        EntryState entry = machine.load(KernelBoot.of(kernel().write(directory)));

        assertEquals(
                new EntryState.Protected32(
                        MEBIBYTE + 4,
                        0x9000,
                        new KvmDescriptorTable(0x500, 0x2f),
                        new EntryState.Arguments(0, INFO, 0)),
                entry);
    }

    @Test
    void kernelOf32BitsIsToo() throws IOException {
        ElfBuilder elf = ElfBuilder.elf32().entry(MEBIBYTE).load(MEBIBYTE, CODE).pvh(MEBIBYTE + 4);

        assertEquals(PVH, load(elf));
    }

    @Test
    void startInfoHasWhatTheAbiSays() throws IOException {
        machine.close();
        machine = BootMachine.of(0xe_0000, List.of(new GuestRange(0, 64 * MEBIBYTE)));

        machine.load(KernelBoot.of(kernel().write(directory)).commandLine("a=b"));

        assertEquals(0x336e_c578, machine.memory.readLe32(INFO));
        assertEquals(1, machine.memory.readLe32(INFO + 4)); // version
        assertEquals(0, machine.memory.readLe32(INFO + 8)); // flags
        assertEquals(0, machine.memory.readLe32(INFO + 12)); // modules
        assertEquals(0, machine.memory.readLe64(INFO + 16));
        assertEquals("a=b", machine.text(machine.memory.readLe64(INFO + 24)));
        assertEquals(0xe_0000, machine.memory.readLe64(INFO + 32)); // RSDP
        assertEquals(3, machine.memory.readLe32(INFO + 48)); // entries of the memory map
        assertEquals(0, machine.memory.readLe32(INFO + 52)); // reserved
    }

    @Test
    void memoryMapIsThatOfTheMachine() throws IOException {
        load(kernel());

        long map = machine.memory.readLe64(INFO + 40);
        long last = map + 2 * 24;
        assertEquals(0, machine.memory.readLe64(map));
        assertEquals(0x9_fc00, machine.memory.readLe64(map + 8));
        assertEquals(1, machine.memory.readLe32(map + 16));
        assertEquals(2, machine.memory.readLe32(map + 24 + 16));
        assertEquals(MEBIBYTE, machine.memory.readLe64(last));
        assertEquals(63 * MEBIBYTE, machine.memory.readLe64(last + 8));
        assertEquals(1, machine.memory.readLe64(last + 16)); // and the reserved field
    }

    @Test
    void initrdIsTheFirstModule() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), CODE);

        machine.load(KernelBoot.of(kernel().write(directory)).initrd(initrd));

        assertEquals(1, machine.memory.readLe32(INFO + 12));
        long module = machine.memory.readLe64(INFO + 16);
        assertEquals(64 * MEBIBYTE - 4096, machine.memory.readLe64(module));
        assertEquals(CODE.length, machine.memory.readLe64(module + 8));
        assertEquals(0, machine.memory.readLe64(module + 16)); // its command line
        assertEquals(0, machine.memory.readLe64(module + 24)); // reserved
        assertEquals(0x0807_0605_0403_0201L, machine.memory.readLe64(64 * MEBIBYTE - 4096));
    }

    @Test
    void noteOf64BitsIsTaken() throws IOException {
        byte[] note = ElfBuilder.note("Xen", 18, 4, ElfBuilder.u64(MEBIBYTE + 4));

        assertEquals(PVH, load(elf().notes(4, note)));
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 8})
    void noteIsFoundBehindOthers(int align) throws IOException {
        byte[] notes =
                ElfBuilder.join(
                        ElfBuilder.note("GNU", 3, align, new byte[20]),
                        ElfBuilder.note("Linux", 0x101, align, new byte[1]),
                        ElfBuilder.note("Xen", 6, align, new byte[6]),
                        ElfBuilder.note("Xen", 18, align, ElfBuilder.u32(MEBIBYTE + 4)));

        assertEquals(PVH, load(elf().notes(align, notes)));
    }

    @Test
    void noteIsFoundInASecondSegmentOfNotes() throws IOException {
        byte[] other = ElfBuilder.note("GNU", 3, 4, new byte[20]);

        assertEquals(PVH, load(elf().notes(4, other).pvh(MEBIBYTE + 4)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"Yen", "Xenon", "Xe"})
    void noteOfAnotherNameIsNot(String name) throws IOException {
        byte[] note = ElfBuilder.note(name, 18, 4, ElfBuilder.u32(MEBIBYTE + 4));

        assertEquals(PLAIN, load(elf().notes(4, note)));
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, Integer.MAX_VALUE, 1000, 13})
    void noteThatPassesItsSegmentEndsTheSearch(int size) throws IOException {
        byte[] notes = ElfBuilder.note("Xen", 18, 4, ElfBuilder.u32(MEBIBYTE + 4));
        byte[] broken = ElfBuilder.join(ElfBuilder.u32(size), new byte[12], notes);

        assertEquals(PLAIN, load(elf().notes(4, broken)));
    }

    @Test
    void notesOfNothingButZerosTakeNoTime() throws IOException {
        assertEquals(PLAIN, load(elf().notes(4, new byte[2 << 20])));
    }

    @Test
    void entryOfAnotherSizeIsRefused() throws IOException {
        byte[] note = ElfBuilder.note("Xen", 18, 4, new byte[2]);

        assertEquals(
                "a PVH entry of 2 bytes, expected 4 or 8",
                refusal(elf().notes(4, note), ElfBuilder.CONTENTS + CODE.length + 16));
    }

    @Test
    void entryOfMoreThan32BitsIsRefused() throws IOException {
        byte[] note = ElfBuilder.note("Xen", 18, 4, ElfBuilder.u64(0xffff_ffff_8100_0000L));

        assertEquals(
                "PVH entry 0xffffffff81000000, expected an address of 32 bits",
                refusal(elf().notes(4, note), ElfBuilder.CONTENTS + CODE.length + 16));
    }

    @Test
    void entryOutsideTheSegmentsIsRefused() throws IOException {
        assertEquals(
                "entry 0x200000, expected an address in a loaded segment",
                refusal(elf().pvh(2 * MEBIBYTE), ElfBuilder.CONTENTS + CODE.length + 16));
    }
}
