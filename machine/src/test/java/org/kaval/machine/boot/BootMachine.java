package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// The memory of a machine that is to boot something.
final class BootMachine implements AutoCloseable {
    static final long MEBIBYTE = 1 << 20;

    final GuestMemory memory;
    final BootContext context;

    private BootMachine(List<GuestRange> ram, long rsdp, List<MemoryMap.Entry> reserved)
            throws IOException {
        memory = GuestMemory.allocate(ram, new Backing.Anonymous(false));
        context = new BootContext(memory, rsdp, reserved);
    }

    static BootMachine of(long bytes) throws IOException {
        return new BootMachine(List.of(new GuestRange(0, bytes)), 0, List.of());
    }

    static BootMachine of(long rsdp, List<GuestRange> ram, MemoryMap.Entry... reserved)
            throws IOException {
        return new BootMachine(ram, rsdp, List.of(reserved));
    }

    EntryState load(BootSource source) throws IOException {
        return source.load(context);
    }

    /// The message with which `source`, whose file is `file`, is refused at `offset`.
    String refusal(BootSource source, Path file, long offset) {
        var refused = assertThrows(BootFileException.class, () -> load(source));
        assertEquals(file.toString(), refused.file());
        assertEquals(offset, refused.offset(), refused.getMessage());
        String prefix = "%s: offset 0x%x: ".formatted(file, offset);
        String message = String.valueOf(refused.getMessage());
        assertEquals(prefix, message.substring(0, prefix.length()));
        return message.substring(prefix.length());
    }

    byte[] read(long address, int length) {
        byte[] bytes = new byte[length];
        memory.read(address, bytes);
        return bytes;
    }

    String text(long address) {
        var text = new StringBuilder();
        for (long at = address; memory.readByte(at) != 0; at++) {
            text.append((char) memory.readByte(at));
        }
        return new String(
                text.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        memory.close();
    }
}
