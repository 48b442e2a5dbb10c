package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
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
    private static final int STACK_TOP = 0x7c00;

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
    public EntryState load(BootContext context) throws IOException {
        GuestMemory memory = context.memory();
        copyInto(memory);
        return switch (mode) {
            case REAL16 -> new EntryState.Real16(mode.loadAddress, STACK_TOP);
            case PROTECTED32 ->
                    new EntryState.Protected32(
                            mode.loadAddress, STACK_TOP, BootLayout.writeGdt32(memory));
            case LONG64 ->
                    new EntryState.Long64(
                            mode.loadAddress,
                            STACK_TOP,
                            BootLayout.writeGdt64(memory),
                            BootLayout.writePageTables(memory));
        };
    }

    private void copyInto(GuestMemory memory) throws IOException {
        if (code != null) {
            checkFits(memory, "the payload", code.length);
            memory.write(mode.loadAddress, code);
            return;
        }
        // straight into the guest: a file may be larger than an array or the heap
        try (ImageFile image = ImageFile.open(Objects.requireNonNull(file))) {
            checkFits(memory, image.name(), image.size());
            image.copyInto(memory, mode.loadAddress, 0, image.size(), "the payload");
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
}
