package org.kaval.machine.boot;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.kaval.memory.GuestMemory;

/// The bytes of something to boot; every access is checked against their number. One thread.
final class ImageFile implements Closeable {
    /// The most that one system call reads.
    private static final long MAX_READ = 64 << 20;

    private final String name;
    private final long size;
    private final Source source;

    /// Where the bytes come from.
    private interface Source extends Closeable {
        /// Reads some bytes, as {@link FileChannel#read(ByteBuffer, long)}.
        int read(ByteBuffer into, long position) throws IOException;
    }

    private ImageFile(String name, long size, Source source) {
        this.name = name;
        this.size = size;
        this.source = source;
    }

    /// Opens a regular file.
    static ImageFile open(Path path) throws IOException {
        if (!Files.isRegularFile(path)) {
            throw new IOException(
                    path + ": " + (Files.exists(path) ? "not a regular file" : "no such file"));
        }
        FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
        boolean opened = false;
        try {
            var file = new ImageFile(path.toString(), channel.size(), new FileSource(channel));
            opened = true;
            return file;
        } finally {
            if (!opened) {
                channel.close();
            }
        }
    }

    /// Bytes in memory, which stay the caller's.
    ///
    /// @param name for messages
    static ImageFile of(String name, MemorySegment bytes) {
        return new ImageFile(name, bytes.byteSize(), new MemorySource(bytes));
    }

    /// The first `size` bytes of an open file, which it takes over.
    ///
    /// @param name for messages
    static ImageFile of(String name, FileChannel channel, long size) {
        return new ImageFile(name, size, new FileSource(channel));
    }

    private record FileSource(FileChannel channel) implements Source {
        @Override
        public int read(ByteBuffer into, long position) throws IOException {
            return channel.read(into, position);
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    private record MemorySource(MemorySegment bytes) implements Source {
        @Override
        public int read(ByteBuffer into, long position) {
            long rest = bytes.byteSize() - position;
            if (rest <= 0) {
                return -1;
            }
            int count = (int) Math.min(rest, into.remaining());
            into.put(bytes.asSlice(position, count).asByteBuffer());
            return count;
        }

        @Override
        public void close() {}
    }

    /// For messages.
    String name() {
        return name;
    }

    /// In bytes.
    long size() {
        return size;
    }

    /// Whether all of `[offset, offset + length)` is in the file.
    boolean holds(long offset, long length) {
        return offset >= 0 && length >= 0 && offset <= size - length;
    }

    /// Reads `length` bytes.
    ///
    /// @param what for the message, if the file ends before
    /// @return little-endian, from position 0
    ByteBuffer read(long offset, int length, String what) throws IOException {
        require(offset, length, what);
        ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        fill(bytes, offset);
        return bytes.flip();
    }

    /// Reads the file's beginning, `length` bytes or what there is.
    ByteBuffer beginning(int length) throws IOException {
        return read(0, (int) Math.min(length, size), "its beginning");
    }

    /// Puts `[offset, offset + length)` straight into the guest.
    ///
    /// @param address of RAM, for `length` bytes
    /// @param what for the message, if the file ends before
    void copyInto(GuestMemory memory, long address, long offset, long length, String what)
            throws IOException {
        require(offset, length, what);
        copyInto(memory.slice(address, length), offset, what);
        memory.markDirty(address, length);
    }

    /// Fills `into` with what is at `offset`.
    ///
    /// @param what for the message, if the file ends before
    void copyInto(MemorySegment into, long offset, String what) throws IOException {
        long length = into.byteSize();
        require(offset, length, what);
        for (long done = 0; done < length; ) {
            long chunk = Math.min(length - done, MAX_READ);
            fill(into.asSlice(done, chunk).asByteBuffer(), offset + done);
            done += chunk;
        }
    }

    /// Fails unless all of `[offset, offset + length)` is in the file.
    void require(long offset, long length, String what) throws BootFileException {
        if (!holds(offset, length)) {
            throw error(
                    Math.max(0, Math.min(offset, size)),
                    "the file ends at 0x%x, expected 0x%x bytes of %s at 0x%x"
                            .formatted(size, length, what, offset));
        }
    }

    /// What to throw when something is wrong at `offset`.
    BootFileException error(long offset, String problem) {
        return new BootFileException(name, offset, problem);
    }

    private void fill(ByteBuffer into, long offset) throws IOException {
        long position = offset;
        while (into.hasRemaining()) {
            int count = source.read(into, position);
            if (count < 0) {
                throw error(position, "the file has become shorter, expected 0x%x".formatted(size));
            }
            position += count;
        }
    }

    @Override
    public void close() throws IOException {
        source.close();
    }
}
