package org.kaval.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.IoVector;
import org.kaval.linux.Mmap;

/// The RAM of one guest: several regions, below and above the hole that devices take.
///
/// Any thread. Reads and writes of single numbers allocate nothing. KVM uses the memory without the
/// arena's knowledge: close the {@link KvmVm} that it is {@link #attach attached} to first.
public final class GuestMemory implements AutoCloseable {
    /// Little-endian, at any address.
    public static final ValueLayout.OfShort LE16 = JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN);

    /// Little-endian, at any address.
    public static final ValueLayout.OfInt LE32 = JAVA_INT_UNALIGNED.withOrder(LITTLE_ENDIAN);

    /// Little-endian, at any address.
    public static final ValueLayout.OfLong LE64 = JAVA_LONG_UNALIGNED.withOrder(LITTLE_ENDIAN);

    private static final VarHandle ALIGNED_LE16 = JAVA_SHORT.withOrder(LITTLE_ENDIAN).varHandle();

    private static final long POPULATE_STEP = 4L << 20;

    private final Storage storage;
    private final GuestRegion[] regions;
    private final List<UnseenWriter> unseenWriters = new ArrayList<>(); // guarded by this
    private @Nullable KvmVm vm; // guarded by this

    private GuestMemory(List<GuestRange> sorted, Storage storage) {
        this.storage = storage;
        regions = new GuestRegion[sorted.size()];
        for (int i = 0; i < regions.length; i++) {
            regions[i] = new GuestRegion(sorted.get(i), storage.memory().get(i));
        }
    }

    /// Allocates zeroed memory, or maps a file, at the given guest-physical addresses.
    ///
    /// @param ranges whole pages, disjoint
    /// @throws HostUnsupportedException if the host has not enough of what `backing` asks for
    public static GuestMemory allocate(List<GuestRange> ranges, Backing backing)
            throws IOException {
        List<GuestRange> sorted =
                ranges.stream().sorted(Comparator.comparingLong(GuestRange::base)).toList();
        checkDisjointPages(sorted);
        return new GuestMemory(sorted, Storage.open(sorted, backing));
    }

    /// The ranges that are RAM, in ascending order.
    public List<GuestRange> ranges() {
        var ranges = new ArrayList<GuestRange>(regions.length);
        for (GuestRegion region : regions) {
            ranges.add(region.range());
        }
        return List.copyOf(ranges);
    }

    /// How much RAM there is, in bytes.
    public long size() {
        long size = 0;
        for (GuestRegion region : regions) {
            size += region.range().size();
        }
        return size;
    }

    /// Whether all of `[address, address + length)` is RAM.
    public boolean holds(long address, long length) {
        for (GuestRegion region : regions) {
            if (region.holds(address, length)) {
                return true;
            }
        }
        return false;
    }

    /// A view of `[address, address + length)`. Whoever writes through it says so with {@link
    /// #markDirty} afterwards.
    ///
    /// @throws GuestFault if any byte of it is not RAM
    public MemorySegment slice(long address, long length) {
        return region(address, length).slice(address, length);
    }

    /// Appends `[address, address + length)` to `vector`. Whoever writes there says so with {@link
    /// #markDirty} afterwards. Allocates nothing.
    ///
    /// @throws GuestFault if any byte of it is not RAM
    public void addTo(IoVector vector, long address, long length) {
        GuestRegion region = region(address, length);
        vector.add(region.bytes(), region.offset(address), length);
    }

    /// Notes that a device has written `[address, address + length)` through a {@link #slice};
    /// costs nothing while nobody tracks.
    public void markDirty(long address, long length) {
        region(address, length).markWritten(address, length);
    }

    /// Gives the pages of `[address, address + length)` back to the host, since the guest does not
    /// need what is in them. When it touches them again they are zeroes, or what the file had that
    /// they came from. Memory from the host's pool of huge pages stays the guest's. Allocates
    /// nothing.
    ///
    /// @param address a multiple of {@link Mmap#PAGE_SIZE}
    /// @param length a multiple of it, too
    /// @throws GuestFault if any byte of it is not RAM
    public void discard(long address, long length) throws ErrnoException {
        GuestRegion region = region(address, length);
        if (storage.discard(region.bytes(), region.offset(address), length)) {
            region.markWritten(address, length);
        }
    }

    /// Reads one byte, unsigned.
    public int readByte(long address) {
        GuestRegion region = region(address, 1);
        return Byte.toUnsignedInt(region.bytes().get(JAVA_BYTE, region.offset(address)));
    }

    /// Reads two bytes, unsigned.
    public int readLe16(long address) {
        GuestRegion region = region(address, 2);
        return Short.toUnsignedInt(region.bytes().get(LE16, region.offset(address)));
    }

    /// Reads four bytes; {@link Integer#toUnsignedLong} makes them unsigned.
    public int readLe32(long address) {
        GuestRegion region = region(address, 4);
        return region.bytes().get(LE32, region.offset(address));
    }

    public long readLe64(long address) {
        GuestRegion region = region(address, 8);
        return region.bytes().get(LE64, region.offset(address));
    }

    /// Reads two bytes, unsigned, such that what the guest wrote before them is seen after: for the
    /// index of a ring.
    ///
    /// @param address a multiple of 2
    public int acquireLe16(long address) {
        GuestRegion region = region(address, 2);
        return Short.toUnsignedInt(
                (short) ALIGNED_LE16.getAcquire(region.bytes(), region.offset(address)));
    }

    /// Writes two bytes such that the guest, when it sees them, sees what was written before.
    ///
    /// @param address a multiple of 2
    public void releaseLe16(long address, int value) {
        GuestRegion region = region(address, 2);
        ALIGNED_LE16.setRelease(region.bytes(), region.offset(address), (short) value);
        region.markWritten(address, 2);
    }

    public void writeByte(long address, int value) {
        GuestRegion region = region(address, 1);
        region.bytes().set(JAVA_BYTE, region.offset(address), (byte) value);
        region.markWritten(address, 1);
    }

    public void writeLe16(long address, int value) {
        GuestRegion region = region(address, 2);
        region.bytes().set(LE16, region.offset(address), (short) value);
        region.markWritten(address, 2);
    }

    public void writeLe32(long address, int value) {
        GuestRegion region = region(address, 4);
        region.bytes().set(LE32, region.offset(address), value);
        region.markWritten(address, 4);
    }

    public void writeLe64(long address, long value) {
        GuestRegion region = region(address, 8);
        region.bytes().set(LE64, region.offset(address), value);
        region.markWritten(address, 8);
    }

    /// Fills `into` with what is at `address`.
    public void read(long address, byte[] into) {
        MemorySegment.copy(slice(address, into.length), JAVA_BYTE, 0, into, 0, into.length);
    }

    /// Fills `into[from, from + length)` with what is at `address`. Allocates nothing.
    public void read(long address, byte[] into, int from, int length) {
        GuestRegion region = region(address, length);
        MemorySegment.copy(region.bytes(), JAVA_BYTE, region.offset(address), into, from, length);
    }

    /// Writes all of `bytes` at `address`.
    public void write(long address, byte[] bytes) {
        write(address, bytes, 0, bytes.length);
    }

    /// Writes `bytes[from, from + length)` at `address`. Allocates nothing.
    public void write(long address, byte[] bytes, int from, int length) {
        GuestRegion region = region(address, length);
        MemorySegment.copy(bytes, from, region.bytes(), JAVA_BYTE, region.offset(address), length);
        region.markWritten(address, length);
    }

    /// Another memory with the same content and ranges, for another machine. Neither sees from now
    /// on what is written to the other, and they share what nobody writes. Meanwhile neither the
    /// guest nor a device writes, and nobody discards.
    ///
    /// The first copy of memory that is no file's takes as long as copying what is used of it, of
    /// memory from the host's pool of huge pages each does; else as long as copying what has
    /// changed since the first one. What this memory {@link #discard discards} afterwards is what
    /// it was at the copy when it is touched again.
    public synchronized GuestMemory copy() throws IOException {
        return new GuestMemory(ranges(), storage.copy());
    }

    /// Where there may be more than zeroes, in ascending order: what was touched, or is in a file.
    /// Finds that without touching memory, for which the host would have to make pages.
    public synchronized List<GuestRange> used() throws IOException {
        BitSet pages = storage.used();
        var used = new ArrayList<GuestRange>();
        int first = 0;
        for (GuestRange range : ranges()) {
            int end = first + Math.toIntExact(range.size() / Mmap.PAGE_SIZE);
            int from = pages.nextSetBit(first);
            while (from >= 0 && from < end) {
                int to = Math.min(end, pages.nextClearBit(from));
                long base = range.base() + (from - first) * Mmap.PAGE_SIZE;
                used.add(new GuestRange(base, (to - from) * Mmap.PAGE_SIZE));
                from = pages.nextSetBit(to);
            }
            first = end;
        }
        return List.copyOf(used);
    }

    /// Gives all regions to `vm`, as slots 0, 1, … in ascending order. Once.
    public synchronized void attach(KvmVm vm) throws ErrnoException {
        if (this.vm != null) {
            throw new IllegalStateException("the memory has a machine already");
        }
        mapAll(vm, 0);
        this.vm = vm;
    }

    /// Who writes to the memory and cannot say where.
    @FunctionalInterface
    public interface UnseenWriter {
        /// Told with true before pages are tracked: when this returns, it writes nothing that it
        /// does not {@link #markDirty mark}; with false when it may again. Called with the memory's
        /// lock, by the thread that begins or ends the tracking.
        void tracking(boolean on);
    }

    /// Says of one, for as long as the memory is there.
    public synchronized void addUnseenWriter(UnseenWriter writer) {
        unseenWriters.add(writer);
        if (regions[0].written() != null) {
            writer.tracking(true);
        }
    }

    /// Begins to note which pages are written, by the guest and by devices.
    public synchronized void startDirtyTracking() throws ErrnoException {
        KvmVm attached = requireVm();
        if (regions[0].written() != null) {
            throw new IllegalStateException("dirty pages are tracked already");
        }
        for (GuestRegion region : regions) {
            region.track(true);
        }
        unseenWriters.forEach(writer -> writer.tracking(true));
        mapAll(attached, KvmVm.LOG_DIRTY_PAGES);
    }

    /// Which pages have been written since the tracking began or since the last call.
    public synchronized DirtyPages drainDirtyPages() throws ErrnoException {
        KvmVm attached = requireVm();
        var result = new ArrayList<DirtyPages.Region>(regions.length);
        for (int slot = 0; slot < regions.length; slot++) {
            DirtyBitmap written = regions[slot].written();
            if (written == null) {
                throw new IllegalStateException("nobody tracks dirty pages");
            }
            long[] words = guestWrites(attached, slot);
            written.drainInto(words);
            result.add(new DirtyPages.Region(regions[slot].range().base(), words));
        }
        return new DirtyPages(List.copyOf(result));
    }

    /// Ends the tracking; what was not drained is forgotten.
    public synchronized void stopDirtyTracking() throws ErrnoException {
        mapAll(requireVm(), 0);
        for (GuestRegion region : regions) {
            region.track(false);
        }
        unseenWriters.forEach(writer -> writer.tracking(false));
    }

    /// Reads all that comes from a file, so that the guest need not wait for it when it touches it.
    /// Takes as long as that; the guest may run meanwhile.
    ///
    /// @param goOn is asked every few milliseconds whether it is still wanted
    public void populate(BooleanSupplier goOn) throws ErrnoException {
        for (GuestRegion region : regions) {
            long size = region.bytes().byteSize();
            for (long at = 0; at < size && goOn.getAsBoolean(); at += POPULATE_STEP) {
                Mmap.populate(region.bytes(), at, Math.min(POPULATE_STEP, size - at));
            }
        }
    }

    /// Gives the memory back to the host. Later accesses throw {@link IllegalStateException}.
    @Override
    public void close() {
        storage.close();
    }

    private GuestRegion region(long address, long length) {
        for (GuestRegion region : regions) {
            if (region.holds(address, length)) {
                return region;
            }
        }
        throw new GuestFault("no RAM at 0x%x+0x%x".formatted(address, length));
    }

    private KvmVm requireVm() {
        if (vm == null) {
            throw new IllegalStateException("the memory has no machine yet");
        }
        return vm;
    }

    private void mapAll(KvmVm target, int flags) throws ErrnoException {
        for (int slot = 0; slot < regions.length; slot++) {
            GuestRegion region = regions[slot];
            target.setUserMemoryRegion(slot, flags, region.range().base(), region.bytes());
        }
    }

    private long[] guestWrites(KvmVm attached, int slot) throws ErrnoException {
        try (Arena confined = Arena.ofConfined()) {
            int words = DirtyBitmap.words(regions[slot].range().size());
            MemorySegment bitmap = confined.allocate(ValueLayout.JAVA_LONG, words);
            attached.getDirtyLog(slot, bitmap);
            return bitmap.toArray(ValueLayout.JAVA_LONG);
        }
    }

    private static void checkDisjointPages(List<GuestRange> sorted) {
        GuestRange previous = null;
        for (GuestRange range : sorted) {
            if (range.base() % Mmap.PAGE_SIZE != 0 || range.size() % Mmap.PAGE_SIZE != 0) {
                throw new IllegalArgumentException("not whole pages: " + range);
            }
            if (previous != null && previous.overlaps(range)) {
                throw new IllegalArgumentException(previous + " overlaps " + range);
            }
            previous = range;
        }
    }
}
