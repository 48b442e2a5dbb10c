package org.kaval.machine.compression;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.kaval.devices.compression.CorruptDataException;
import org.kaval.devices.compression.Input;
import org.kaval.devices.compression.Output;
import org.kaval.devices.compression.Zstd;
import org.tukaani.xz.LZMAInputStream;
import org.tukaani.xz.MemoryLimitException;
import org.tukaani.xz.SingleXZInputStream;

/// What a Linux kernel may be compressed with.
public enum Compression {
    /// RFC 1952. The one whose own last four bytes are the size of the content.
    GZIP("gzip") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.getShort(0) == (short) 0x8b1f;
        }

        @Override
        void run(Input input, Output output) throws IOException {
            try (var stream = new GZIPInputStream(input)) {
                drain(stream, input, output);
            }
        }
    },

    /// The .xz file format 1.2.
    XZ("xz") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.getInt(0) == 0x587a_37fd && start.getShort(4) == 0x005a;
        }

        @Override
        void run(Input input, Output output) throws IOException {
            try (var stream = new SingleXZInputStream(input, freeHeapKibibytes())) {
                drain(stream, input, output);
            }
        }
    },

    /// The .lzma format of LZMA Utils, which has no magic number: properties of 0x5d are what
    /// everyone uses, and the size of a dictionary has few bits.
    LZMA("lzma") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.get(0) == 0x5d && start.getShort(1) == 0;
        }

        @Override
        void run(Input input, Output output) throws IOException {
            try (var stream = new LZMAInputStream(input, freeHeapKibibytes())) {
                drain(stream, input, output);
            }
        }
    },

    BZIP2("bzip2") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.getShort(0) == 0x5a42 && start.get(2) == 'h';
        }

        @Override
        void run(Input input, Output output) throws IOException {
            Bzip2.decompress(input, output);
        }
    },

    /// The legacy frame.
    LZ4("lz4") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.getInt(0) == Lz4Legacy.MAGIC;
        }

        @Override
        void run(Input input, Output output) throws IOException {
            Lz4Legacy.decompress(input, output);
        }
    },

    /// RFC 8878.
    ZSTD("zstd") {
        @Override
        boolean begins(ByteBuffer start) {
            return start.getInt(0) == Zstd.MAGIC;
        }

        @Override
        void run(Input input, Output output) throws IOException {
            Zstd.decompress(input, output);
        }
    };

    /// How many bytes {@link #of} looks at.
    public static final int LOOKED_AT = 8;

    private static final int CHUNK = 64 << 10;

    private final String title;

    Compression(String title) {
        this.title = title;
    }

    /// Tells the format by the first {@link #LOOKED_AT} bytes.
    public static Optional<Compression> of(byte[] start) {
        ByteBuffer bytes = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN);
        return Stream.of(values()).filter(format -> format.begins(bytes)).findFirst();
    }

    /// Decompresses `from`, which may go on behind the compressed data, into all of `into`.
    ///
    /// @param from at most 2 GiB
    /// @param into at most 2 GiB
    /// @throws CorruptDataException if that is not what `from` decompresses to
    public void decompress(MemorySegment from, MemorySegment into) throws CorruptDataException {
        var input = new Input(from);
        var output = new Output(into);
        try {
            run(input, output);
        } catch (CorruptDataException e) {
            throw e;
        } catch (MemoryLimitException e) {
            throw input.error(
                    "it needs %d MiB of Java heap, expected at most the %d MiB that are free"
                                    .formatted(e.getMemoryNeeded() >> 10, e.getMemoryLimit() >> 10)
                            + " (-Xmx)");
        } catch (IOException e) {
            String why = e.getMessage() == null ? "" : ": " + e.getMessage();
            throw input.error("%s data that is corrupt%s, expected other".formatted(title, why));
        }
        if (output.position() != output.capacity()) {
            throw input.error(
                    "%d bytes of content, expected %d"
                            .formatted(output.position(), output.capacity()));
        }
    }

    /// Whether data that begins with these {@link #LOOKED_AT} bytes is of this format.
    abstract boolean begins(ByteBuffer start);

    abstract void run(Input input, Output output) throws IOException;

    private static void drain(InputStream stream, Input input, Output output) throws IOException {
        byte[] chunk = new byte[CHUNK];
        for (int count = stream.read(chunk); count >= 0; count = stream.read(chunk)) {
            output.append(input, chunk, 0, count);
        }
    }

    /// What the decoders of xz and LZMA may take for their dictionaries.
    private static int freeHeapKibibytes() {
        Runtime runtime = Runtime.getRuntime();
        long used = runtime.totalMemory() - runtime.freeMemory();
        long free = runtime.maxMemory() - used - CHUNK;
        return Math.clamp(free >> 10, 1, Integer.MAX_VALUE);
    }

    @Override
    public String toString() {
        return title;
    }
}
