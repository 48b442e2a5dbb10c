package org.kaval.guests;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Writes a cpio archive in the format "newc", the one that Linux unpacks its initramfs from
/// (`Documentation/driver-api/early-userspace/buffer-format.rst`). The tests read it with Commons
/// Compress and with `cpio`; the former is not used here because its module needs `java.desktop`,
/// which the packaged image would have to carry.
///
/// An entry is a header of thirteen numbers, in eight hexadecimal digits each, a name that ends
/// with a zero, and the content; name and content each end at a multiple of four bytes. All entries
/// belong to root and are of 1970. One thread.
final class CpioWriter implements AutoCloseable {
    // sys/stat.h
    static final int CHARACTER_DEVICE = 0020000;
    static final int DIRECTORY = 0040000;
    static final int BLOCK_DEVICE = 0060000;
    static final int REGULAR = 0100000;
    static final int SYMLINK = 0120000;
    private static final int TYPE = 0170000;

    private static final int BUFFER = 1 << 16;
    private static final int BLOCK = 512;
    private static final long MAX_SIZE = 0xffff_ffffL;
    private static final String END = "TRAILER!!!";

    private final OutputStream out;
    private long written;
    private int inode;

    /// @param out is closed with this
    CpioWriter(OutputStream out) {
        this.out = new BufferedOutputStream(out, BUFFER);
    }

    /// Adds what has its content here: a file, a symbolic link, a directory.
    ///
    /// @param mode type and permissions
    void add(String name, int mode, byte[] content) throws IOException {
        header(name, mode, content.length, 0, 0);
        write(content, content.length);
        pad(4);
    }

    /// Adds a file with the content of one of the host's.
    void add(String name, int mode, Path content) throws IOException {
        long size = Files.size(content);
        if (size > MAX_SIZE) {
            throw new IOException(
                    "%s: %d bytes: an initramfs has room for 4 GiB - 1".formatted(content, size));
        }
        header(name, mode, size, 0, 0);
        long left = size;
        byte[] buffer = new byte[BUFFER];
        try (InputStream in = Files.newInputStream(content)) {
            for (int count = in.read(buffer);
                    count >= 0 && left >= count;
                    count = in.read(buffer)) {
                write(buffer, count);
                left -= count;
            }
        }
        if (left != 0 || Files.size(content) != size) {
            throw new IOException(content + ": has changed while it was read");
        }
        pad(4);
    }

    void addNode(String name, int mode, int major, int minor) throws IOException {
        header(name, mode, 0, major, minor);
    }

    /// Writes the end mark, and fills the last block.
    @Override
    public void close() throws IOException {
        try (out) {
            inode = -1; // the end mark's is 0
            header(END, 0, 0, 0, 0);
            pad(BLOCK);
        }
    }

    private void header(String name, int mode, long size, int major, int minor) throws IOException {
        byte[] bytes = (name + '\0').getBytes(StandardCharsets.UTF_8);
        inode++;
        int links = (mode & TYPE) == DIRECTORY ? 2 : 1;
        // inode, mode, user, group, links, time, size, device, device of a node, name, check sum
        String text =
                "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x"
                        .formatted(
                                inode,
                                mode,
                                0,
                                0,
                                links,
                                0,
                                size,
                                0,
                                0,
                                major,
                                minor,
                                bytes.length,
                                0);
        write(text.getBytes(StandardCharsets.US_ASCII), text.length());
        write(bytes, bytes.length);
        pad(4);
    }

    private void write(byte[] bytes, int count) throws IOException {
        out.write(bytes, 0, count);
        written += count;
    }

    private void pad(int alignment) throws IOException {
        int count = (int) (-written & (alignment - 1));
        write(new byte[count], count);
    }
}
