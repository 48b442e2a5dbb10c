package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.EntryState;

/// Code without any format, for tests: it is put at an address and entered at its first byte.
///
/// | address         | what                                                                    |
/// |----------------:|-------------------------------------------------------------------------|
/// | 0x500           | GDT: 0x10 code, 0x18 data, 0x20 user data, 0x28 user code; not in real mode |
/// | 0x7c00          | top of the stack, growing down                                          |
/// | 0x9000-0xefff   | page tables that map the first 4 GiB to themselves, for ring 3 too; long mode only |
/// | {@link Mode#loadAddress} | the payload                                                    |
///
/// Interrupts are off and there is no IDT.
public final class FlatPayload implements BootSource {
    private static final long GDT = 0x500;
    private static final int STACK_TOP = 0x7c00;
    private static final long PAGE_TABLES = 0x9000;
    private static final long PAGE = 0x1000;
    private static final long MAX_READ = 64 << 20;

    /// How many page directories: 1 GiB each.
    private static final int DIRECTORIES = 4;

    private static final int ENTRIES = 512;
    private static final long PRESENT_WRITABLE_USER = 7;
    private static final long LARGE_PAGE = 1 << 7;
    private static final int LARGE_PAGE_SHIFT = 21;

    // Intel SDM vol. 3A §3.4.5: flat, base 0, limit 4 GiB
    private static final long CODE64 = 0x00af_9b00_0000_ffffL;
    private static final long CODE32 = 0x00cf_9b00_0000_ffffL;
    private static final long DATA = 0x00cf_9300_0000_ffffL;
    private static final long DPL3 = 0x0000_6000_0000_0000L;

    /// The mode in which a payload is entered.
    public enum Mode {
        /// 16-bit real mode, as a boot sector.
        REAL16(0x7c00),
        /// 32-bit protected mode, flat, without paging.
        PROTECTED32(0x10_0000),
        /// 64-bit mode.
        LONG64(0x10_0000);

        private final int loadAddress;

        Mode(int loadAddress) {
            this.loadAddress = loadAddress;
        }

        /// Where the payload is put and entered.
        public int loadAddress() {
            return loadAddress;
        }
    }

    private final byte @Nullable [] code;
    private final @Nullable Path file;
    private final Mode mode;

    private FlatPayload(byte @Nullable [] code, @Nullable Path file, Mode mode) {
        this.code = code;
        this.file = file;
        this.mode = mode;
    }

    /// Code from memory.
    public static FlatPayload of(byte[] code, Mode mode) {
        return new FlatPayload(code.clone(), null, mode);
    }

    /// Code from a file, which is read when the machine is built.
    public static FlatPayload of(Path file, Mode mode) {
        return new FlatPayload(null, file, mode);
    }

    @Override
    public EntryState load(GuestMemory memory) throws IOException {
        copyInto(memory);
        return switch (mode) {
            case REAL16 -> new EntryState.Real16(mode.loadAddress, STACK_TOP);
            case PROTECTED32 ->
                    new EntryState.Protected32(
                            mode.loadAddress, STACK_TOP, writeGdt(memory, CODE32));
            case LONG64 ->
                    new EntryState.Long64(
                            mode.loadAddress,
                            STACK_TOP,
                            writeGdt(memory, CODE64),
                            writePageTables(memory));
        };
    }

    private void copyInto(GuestMemory memory) throws IOException {
        if (code != null) {
            checkFits(memory, "the payload", code.length);
            memory.write(mode.loadAddress, code);
            return;
        }
        Path path = Objects.requireNonNull(file);
        if (!Files.isRegularFile(path)) {
            throw new IOException(
                    path + ": " + (Files.exists(path) ? "not a regular file" : "no such file"));
        }
        try (FileChannel channel = FileChannel.open(path)) {
            long length = channel.size();
            checkFits(memory, path.toString(), length);
            // straight into the guest: a file may be larger than an array or the heap
            for (long done = 0; done < length; ) {
                long chunk = Math.min(length - done, MAX_READ);
                ByteBuffer target = memory.slice(mode.loadAddress + done, chunk).asByteBuffer();
                int count = channel.read(target, done);
                if (count < 0) {
                    throw new IOException(
                            "%s: ends at 0x%x instead of 0x%x".formatted(path, done, length));
                }
                done += count;
            }
        }
    }

    private void checkFits(GuestMemory memory, String what, long length) throws IOException {
        if (length == 0) {
            throw new IOException(what + ": empty");
        }
        if (!memory.holds(mode.loadAddress, length)) {
            throw new IOException(
                    "%s: %d bytes at 0x%x do not fit into %d MiB of memory"
                            .formatted(what, length, mode.loadAddress, memory.size() >> 20));
        }
    }

    private static KvmDescriptorTable writeGdt(GuestMemory memory, long kernelCode) {
        long[] descriptors = {0, 0, kernelCode, DATA, DATA | DPL3, kernelCode | DPL3};
        for (int i = 0; i < descriptors.length; i++) {
            memory.writeLe64(GDT + i * (long) Long.BYTES, descriptors[i]);
        }
        return new KvmDescriptorTable(GDT, descriptors.length * Long.BYTES - 1);
    }

    /// Intel SDM vol. 3A §4.5: one PML4 entry, four directories of 2 MiB pages.
    private static long writePageTables(GuestMemory memory) {
        long directoryPointers = PAGE_TABLES + PAGE;
        memory.writeLe64(PAGE_TABLES, directoryPointers | PRESENT_WRITABLE_USER);
        for (int i = 0; i < DIRECTORIES; i++) {
            long directory = directoryPointers + PAGE * (i + 1);
            memory.writeLe64(
                    directoryPointers + i * (long) Long.BYTES, directory | PRESENT_WRITABLE_USER);
            for (int j = 0; j < ENTRIES; j++) {
                long page = ((long) i * ENTRIES + j) << LARGE_PAGE_SHIFT;
                memory.writeLe64(
                        directory + j * (long) Long.BYTES,
                        page | LARGE_PAGE | PRESENT_WRITABLE_USER);
            }
        }
        return PAGE_TABLES;
    }
}
