package org.kaval.guests;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.commons.compress.archivers.cpio.CpioArchiveEntry;
import org.apache.commons.compress.archivers.cpio.CpioArchiveOutputStream;
import org.apache.commons.compress.archivers.cpio.CpioConstants;

/// What stands under one name in an initramfs.
sealed interface InitramfsEntry {
    /// @param asked by the user, not only made for what is in it
    record Directory(int mode, boolean asked) implements InitramfsEntry {}

    // Identity is all that is asked of it.
    @SuppressWarnings("ArrayRecordComponent")
    record Bytes(int mode, byte[] content) implements InitramfsEntry {}

    record HostFile(int mode, Path content) implements InitramfsEntry {}

    record Symlink(String target) implements InitramfsEntry {}

    record Node(int mode, boolean block, int major, int minor) implements InitramfsEntry {
        public Node {
            // Linux has 12 and 20 bits for them.
            if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
                throw new IllegalArgumentException("no device: %d:%d".formatted(major, minor));
            }
        }
    }

    /// Writes `entries`, by their names, to the file `target`.
    static void write(Map<String, InitramfsEntry> entries, Path target) throws IOException {
        try (OutputStream file = new BufferedOutputStream(Files.newOutputStream(target), 1 << 16);
                var archive =
                        new CpioArchiveOutputStream(
                                file,
                                CpioConstants.FORMAT_NEW,
                                512,
                                StandardCharsets.UTF_8.name())) {
            int inode = 0;
            for (Map.Entry<String, InitramfsEntry> entry : entries.entrySet()) {
                inode++;
                write(archive, header(entry.getKey(), inode), entry.getValue());
            }
        }
    }

    private static CpioArchiveEntry header(String name, int inode) {
        var header = new CpioArchiveEntry(CpioConstants.FORMAT_NEW, name);
        header.setInode(inode);
        header.setTime(0);
        header.setNumberOfLinks(1);
        return header;
    }

    private static void write(
            CpioArchiveOutputStream archive, CpioArchiveEntry header, InitramfsEntry entry)
            throws IOException {
        switch (entry) {
            case Directory directory -> {
                header.setMode(CpioConstants.C_ISDIR | directory.mode());
                header.setNumberOfLinks(2);
                put(archive, header, new byte[0]);
            }
            case Bytes bytes -> {
                header.setMode(CpioConstants.C_ISREG | bytes.mode());
                put(archive, header, bytes.content());
            }
            case HostFile file -> {
                header.setMode(CpioConstants.C_ISREG | file.mode());
                copy(archive, header, file.content());
            }
            case Symlink link -> {
                header.setMode(CpioConstants.C_ISLNK | 0777);
                put(archive, header, link.target().getBytes(StandardCharsets.UTF_8));
            }
            case Node node -> {
                int type = node.block() ? CpioConstants.C_ISBLK : CpioConstants.C_ISCHR;
                header.setMode(type | node.mode());
                header.setRemoteDeviceMaj(node.major());
                header.setRemoteDeviceMin(node.minor());
                put(archive, header, new byte[0]);
            }
        }
    }

    private static void put(
            CpioArchiveOutputStream archive, CpioArchiveEntry header, byte[] content)
            throws IOException {
        header.setSize(content.length);
        archive.putArchiveEntry(header);
        archive.write(content);
        archive.closeArchiveEntry();
    }

    private static void copy(CpioArchiveOutputStream archive, CpioArchiveEntry header, Path file)
            throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            long size = Files.size(file);
            if (size > 0xffff_ffffL) {
                throw new IOException(
                        "%s: %d bytes: an initramfs has room for 4 GiB - 1".formatted(file, size));
            }
            header.setSize(size);
            archive.putArchiveEntry(header);
            byte[] buffer = new byte[1 << 16];
            long left = size;
            for (int count = in.read(buffer);
                    count >= 0 && left >= count;
                    count = in.read(buffer)) {
                archive.write(buffer, 0, count);
                left -= count;
            }
            if (left != 0 || Files.size(file) != size) {
                throw new IOException(file + ": has changed while it was read");
            }
            archive.closeArchiveEntry();
        }
    }
}
