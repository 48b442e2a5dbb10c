package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/// Makes Multiboot kernels byte by byte: by default one with its header at 0x10, followed by its
/// code, all of it loaded to 1 MiB.
public final class MultibootBuilder {
    public static final long LOAD = 0x10_0000;
    static final int HEADER = 0x10;
    static final int HAS_ADDRESSES = 1 << 16;

    /// Where the code is, in the file.
    static final int CODE = HEADER + 32;

    private int header = HEADER;
    private int flags = HAS_ADDRESSES;
    private int headerAddress = (int) LOAD + HEADER;
    private int loadAddress = (int) LOAD;
    private int loadEnd;
    private int bssEnd;
    private int entry = (int) LOAD + CODE;
    private byte[] code = {};

    public MultibootBuilder() {}

    public MultibootBuilder code(byte... bytes) {
        code = bytes.clone();
        return this;
    }

    MultibootBuilder flags(int value) {
        flags = value;
        return this;
    }

    /// Moves the header in the file, and what its address says with it.
    MultibootBuilder at(int offset) {
        header = offset;
        headerAddress = (int) LOAD + offset;
        entry = headerAddress + 32;
        return this;
    }

    MultibootBuilder headerAddress(long address) {
        headerAddress = (int) address;
        return this;
    }

    MultibootBuilder loadAddress(long address) {
        loadAddress = (int) address;
        return this;
    }

    MultibootBuilder loadEnd(long address) {
        loadEnd = (int) address;
        return this;
    }

    MultibootBuilder bssEnd(long address) {
        bssEnd = (int) address;
        return this;
    }

    MultibootBuilder entry(long address) {
        entry = (int) address;
        return this;
    }

    /// The header alone.
    byte[] header() {
        byte[] bytes = new byte[32];
        ByteBuffer.wrap(bytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(0x1bad_b002)
                .putInt(flags)
                .putInt(-(0x1bad_b002 + flags))
                .putInt(headerAddress)
                .putInt(loadAddress)
                .putInt(loadEnd)
                .putInt(bssEnd)
                .putInt(entry);
        return bytes;
    }

    public byte[] build() {
        byte[] file = Arrays.copyOf(new byte[header], header + 32 + code.length);
        System.arraycopy(header(), 0, file, header, 32);
        System.arraycopy(code, 0, file, header + 32, code.length);
        return file;
    }

    public Path write(Path directory) throws IOException {
        return Files.write(directory.resolve("multiboot"), build());
    }
}
