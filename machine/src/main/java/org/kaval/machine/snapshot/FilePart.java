package org.kaval.machine.snapshot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/// A part whose sum is CRC32C of the file as it is: a copy of a disk, compressed memory.
final class FilePart {
    private static final int STEP = 1 << 20;

    private FilePart() {}

    /// What a file is, which is whole.
    static Manifest.Part of(Path file) throws IOException {
        var sum = new CRC32C();
        ByteBuffer buffer = ByteBuffer.allocateDirect(STEP);
        long size = 0;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (channel.read(buffer.clear()) > 0) {
                size += buffer.flip().remaining();
                sum.update(buffer);
            }
        }
        return new Manifest.Part(String.valueOf(file.getFileName()), size, (int) sum.getValue());
    }
}
