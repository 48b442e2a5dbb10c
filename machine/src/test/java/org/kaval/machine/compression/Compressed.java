package org.kaval.machine.compression;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorOutputStream;
import org.apache.commons.compress.compressors.lz4.BlockLZ4CompressorOutputStream;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.LZMAOutputStream;
import org.tukaani.xz.X86Options;
import org.tukaani.xz.XZ;
import org.tukaani.xz.XZOutputStream;

/// Compresses with libraries that know nothing of the code under test, as the kernel's build does
/// with their tools.
public final class Compressed {
    private static final int LZ4_BLOCK = 8 << 20;

    private Compressed() {}

    /// Compresses `content` in one of the formats.
    public static byte[] of(Compression format, byte[] content) {
        return switch (format) {
            case GZIP -> through(content, GZIPOutputStream::new);
            case XZ ->
                    through(
                            content,
                            out ->
                                    new XZOutputStream(
                                            out,
                                            new org.tukaani.xz.FilterOptions[] {
                                                new X86Options(), new LZMA2Options(6)
                                            },
                                            XZ.CHECK_CRC32));
            case LZMA ->
                    through(content, out -> new LZMAOutputStream(out, new LZMA2Options(6), -1));
            case BZIP2 -> through(content, BZip2CompressorOutputStream::new);
            case LZ4 -> lz4(content);
            case ZSTD -> Zstd.compress(content, 19);
        };
    }

    /// Makes a stream around another one.
    interface Filter {
        OutputStream around(OutputStream out) throws IOException;
    }

    static byte[] through(byte[] content, Filter filter) {
        var compressed = new ByteArrayOutputStream();
        try (OutputStream out = filter.around(compressed)) {
            out.write(content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return compressed.toByteArray();
    }

    private static byte[] lz4(byte[] content) {
        var frame = new ByteArrayOutputStream();
        frame.writeBytes(le32(0x184c_2102));
        for (int at = 0; at < content.length; at += LZ4_BLOCK) {
            byte[] part = Arrays.copyOfRange(content, at, Math.min(content.length, at + LZ4_BLOCK));
            byte[] block = through(part, BlockLZ4CompressorOutputStream::new);
            frame.writeBytes(le32(block.length));
            frame.writeBytes(block);
        }
        return frame.toByteArray();
    }

    public static byte[] le32(int value) {
        byte[] bytes = new byte[4];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(value);
        return bytes;
    }

    /// Content of which parts repeat near and far, parts are noise, and parts are all the same.
    static byte[] content(long seed, int size) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        byte[] content = new byte[size];
        int at = 0;
        while (at < size) {
            int length = Math.min(size - at, 1 + random.nextInt(1 << random.nextInt(14)));
            switch (random.nextInt(5)) {
                case 0 -> {
                    byte[] noise = new byte[length];
                    random.nextBytes(noise);
                    System.arraycopy(noise, 0, content, at, length);
                }
                case 1 -> Arrays.fill(content, at, at + length, (byte) random.nextInt(4));
                case 2 -> {
                    byte[] text =
                            Long.toString(random.nextLong()).getBytes(StandardCharsets.US_ASCII);
                    for (int i = 0; i < length; i++) {
                        content[at + i] = text[i % text.length];
                    }
                }
                default -> {
                    int distance = 1 + random.nextInt(Math.max(1, at));
                    for (int i = 0; i < length; i++) {
                        content[at + i] = at + i < distance ? 7 : content[at + i - distance];
                    }
                }
            }
            at += length;
        }
        return content;
    }
}
