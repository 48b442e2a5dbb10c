package org.kaval.machine.boot;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;
import org.kaval.devices.compression.CorruptDataException;
import org.kaval.linux.Mmap;
import org.kaval.machine.compression.Compression;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.EntryState;

/// Boots the kernel that is compressed in a bzImage: the host decompresses it, which it does once
/// for each kernel and faster than the guest, and the guest begins at the kernel's own 64-bit
/// entry.
///
/// What the guest's decompressor would do besides, it does not: the kernel runs at the address for
/// which it was linked, without a random offset (KASLR), and not with five levels of page tables.
final class FastBoot {
    /// What the kernel's build puts behind all compressed data but gzip's, which ends so by itself:
    /// the size of the content.
    private static final int SIZE_FIELD = 4;

    /// A file is read in pieces of this size for its hash.
    private static final int CHUNK = 1 << 20;

    private FastBoot() {}

    /// Puts kernel, initrd and zero page into memory.
    static EntryState load(Loading loading, KernelCache cache) throws IOException {
        ImageFile file = loading.kernel();
        BzImageHeader header = BzImageHeader.read(file);
        long commandLine =
                loading.writeCommandLine(header.commandLineSize(), BzImageHeader.CMDLINE_SIZE);
        // that is what the kernel says it needs, decompressed and running
        GuestRange place = BzImage.place(loading, header);
        long entry = loadKernel(loading, header, place.size(), cache);
        loading.free().take(place);
        GuestRange initrd = loading.loadInitrd(BzImage.initrdEnds(header));
        long zeroPage =
                new BootParams(loading.context(), loading.map())
                        .header(file, header)
                        .finish(entry, commandLine, initrd);
        return BzImage.enter(loading, entry, zeroPage);
    }

    /// @return the kernel's entry
    private static long loadKernel(
            Loading loading, BzImageHeader header, long limit, KernelCache cache)
            throws IOException {
        String name = loading.kernel().name() + " (decompressed)";
        String key = sha256(loading.kernel());
        Optional<ImageFile> cached = cache.open(key, name);
        if (cached.isPresent()) {
            try (ImageFile kernel = cached.get()) {
                return loadElf(loading, kernel);
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = decompress(arena, loading.kernel(), header, limit);
            long entry = loadElf(loading, ImageFile.of(name, content));
            cache.add(key, content);
            return entry;
        }
    }

    private static long loadElf(Loading loading, ImageFile kernel) throws IOException {
        ElfFile elf = ElfFile.read(kernel);
        if (!elf.is64()) {
            throw kernel.error(ElfFile.CLASS, "a 32-bit kernel, expected a 64-bit one");
        }
        return Segments.load(loading, kernel, elf.segments()).physical(elf.entry());
    }

    /// Decompresses into memory of the size that the kernel's build has noted.
    ///
    /// @param limit the size that makes sense
    private static MemorySegment decompress(
            Arena arena, ImageFile file, BzImageHeader header, long limit) throws IOException {
        long offset = header.kernelOffset() + header.payloadOffset();
        long length = header.payloadLength();
        if (length < Compression.LOOKED_AT + SIZE_FIELD
                || header.payloadOffset() > header.kernelSize() - length) {
            throw file.error(
                    BzImageHeader.PAYLOAD_LENGTH,
                    "a compressed kernel of 0x%x bytes at 0x%x, expected one in the 0x%x of the whole"
                            .formatted(length, header.payloadOffset(), header.kernelSize()));
        }
        byte[] start = new byte[Compression.LOOKED_AT];
        file.read(offset, start.length, "the compressed kernel").get(start);
        Compression format =
                Compression.of(start).orElseThrow(() -> file.error(offset, unknown(start)));
        long sizeAt = offset + length - SIZE_FIELD;
        long size = Integer.toUnsignedLong(file.read(sizeAt, SIZE_FIELD, "its size").getInt(0));
        if (size == 0 || size > limit || size > Integer.MAX_VALUE) {
            throw file.error(
                    sizeAt,
                    "a compressed kernel of 0x%x bytes when decompressed, expected 1 to the 0x%x that it needs to run"
                            .formatted(size, limit));
        }
        long dataLength = format == Compression.GZIP ? length : length - SIZE_FIELD;
        MemorySegment content = allocate(arena, size);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment data = allocate(temporary, dataLength);
            file.copyInto(data, offset, "the compressed kernel");
            format.decompress(data, content);
        } catch (CorruptDataException e) {
            throw file.error(
                    offset + e.offset(),
                    "cannot decompress the kernel (%s): %s".formatted(format, e.getMessage()));
        }
        return content;
    }

    /// Not from the arena itself: what that has counts as heap.
    private static MemorySegment allocate(Arena arena, long size) throws IOException {
        long pages = (size + Mmap.PAGE_SIZE - 1) & -Mmap.PAGE_SIZE;
        return Mmap.anonymous(arena, pages).asSlice(0, size);
    }

    private static String unknown(byte[] start) {
        return "a kernel compressed in a format that begins with %s, expected gzip, xz, lzma, bzip2, lz4 or zstd"
                .formatted(HexFormat.of().formatHex(start));
    }

    private static String sha256(ImageFile file) throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
        for (long done = 0; done < file.size(); done += CHUNK) {
            digest.update(file.read(done, (int) Math.min(CHUNK, file.size() - done), "the file"));
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
