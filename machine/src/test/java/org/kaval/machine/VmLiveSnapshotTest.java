package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.RateLimit.Rate;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.CopyableImage;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.RawImage;
import org.kaval.devices.platform.VmGeneration;
import org.kaval.devices.virtio.VirtioRng;
import org.kaval.linux.IoVector;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.snapshot.MemoryCompression;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotException;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.memory.Backing;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsKvm;

/// Snapshots that are made while the guest runs, over earlier ones, with disks; and clones.
@NeedsKvm
class VmLiveSnapshotTest {
    private static final long MEMORY = 16 << 20;

    /// Where {@link #stamps} writes.
    private static final long FIRST = 0x20_0000;

    private static final int PAGES = 256;
    private static final long PAGE = 4096;

    private static final int CLONES = 8;

    @TempDir private Path folder = Path.of("");

    private Path at(String name) {
        return folder.resolve(name);
    }

    // @formatter:off

    /// Writes 1 to the first word of each of 256 pages, one after the other; then 2, and so on.
    private static FlatPayload stamps() {
        return Guests.long64(
                0x31, 0xc0,                               // xor eax, eax
                0x48, 0xff, 0xc0,                         // next: inc rax
                0x48, 0xc7, 0xc7, 0x00, 0x00, 0x20, 0x00, // mov rdi, 0x200000
                0xb9, 0x00, 0x01, 0x00, 0x00,             // mov ecx, 256
                0x48, 0x89, 0x07,                         // page: mov [rdi], rax
                0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, // add rdi, 4096
                0xff, 0xc9,                               // dec ecx
                0x75, 0xf2,                               // jnz page
                0xeb, 0xe1);                              // jmp next
    }

    // @formatter:on

    private static Vm start() throws Exception {
        return start(Backing.anonymous());
    }

    private static Vm start(Backing backing) throws Exception {
        Vm vm = Vm.builder().memory(MEMORY).memoryBacking(backing).boot(stamps()).build();
        vm.start();
        awaitStamp(vm, 3);
        return vm;
    }

    private static long stamp(Vm vm, int page) {
        return vm.memory().readLe64(FIRST + page * PAGE);
    }

    private static void awaitStamp(Vm vm, long least) throws Exception {
        Host.until("stamp " + least, () -> stamp(vm, PAGES - 1) >= least);
    }

    /// At any moment some pages have a number, and those behind them the one before.
    private static void assertOfOneMoment(Vm vm) {
        long first = stamp(vm, 0);
        for (int page = 1; page < PAGES; page++) {
            long here = stamp(vm, page);
            assertTrue(
                    here == stamp(vm, page - 1) || here == first - 1,
                    "page %d: %d, first %d".formatted(page, here, first));
            assertTrue(here >= first - 1, "page %d: %d, first %d".formatted(page, here, first));
        }
    }

    private void assertGoesOn(Path snapshot) throws Exception {
        Snapshot.read(snapshot).checkMemory();
        try (Vm vm = Vm.restore(snapshot)) {
            assertOfOneMoment(vm);
            long last = stamp(vm, PAGES - 1);
            vm.start();
            awaitStamp(vm, last + 2);
        }
    }

    @Test
    void memoryOfALiveSnapshotIsOfOneMoment() throws Exception {
        try (Vm vm = start()) {
            for (int i = 0; i < Effort.times(3); i++) {
                vm.snapshot(at("live"), SnapshotOptions.DEFAULT.withLive(true));
                awaitStamp(vm, stamp(vm, PAGES - 1) + 2);
                assertGoesOn(at("live"));
            }
        }
    }

    @Test
    void snapshotOverAnotherHasWhatDiffers() throws Exception {
        SnapshotOptions overFirst = SnapshotOptions.DEFAULT.withBase(at("first"));
        try (Vm vm = start()) {
            byte[] unchanging = new byte[4 << 20];
            Arrays.fill(unchanging, (byte) 7);
            vm.memory().write(8 << 20, unchanging);
            vm.snapshot(at("first"));
            vm.memory().writeByte(9 << 20, 8);
            vm.memory().write(10 << 20, new byte[4096]); // zeroes over what was
            awaitStamp(vm, stamp(vm, PAGES - 1) + 2);

            vm.snapshot(at("second"), overFirst);
            vm.snapshot(at("third"), SnapshotOptions.DEFAULT.withBase(at("second")).withLive(true));
            vm.pause();
            vm.snapshot(at("fourth"), SnapshotOptions.DEFAULT.withBase(at("third")));
            vm.snapshot(at("whole"));
            SnapshotOptions packed =
                    SnapshotOptions.DEFAULT.withCompression(MemoryCompression.ZSTD);
            vm.snapshot(at("packed"), packed);
            vm.snapshot(at("packed-over"), packed.withBase(at("third")));
            vm.snapshot(at("over-packed"), SnapshotOptions.DEFAULT.withBase(at("packed")));
        }

        for (String name : List.of("second", "third", "fourth", "packed-over", "over-packed")) {
            assertTrue(own(at(name)) < (3 << 20), name + ": " + own(at(name)));
            assertGoesOn(at(name));
        }
        assertGoesOn(at("packed"));
        byte[] whole = memory(at("whole"));
        for (String name : List.of("fourth", "packed", "packed-over", "over-packed")) {
            assertArrayEquals(whole, memory(at(name)), name);
        }
    }

    /// How much of the memory the snapshot itself has, by its index: pairs of offset and length.
    private static long own(Path snapshot) throws IOException {
        try (Stream<Path> files = Files.list(snapshot)) {
            Path index =
                    files.filter(file -> String.valueOf(file.getFileName()).startsWith("index-"))
                            .findFirst()
                            .orElseThrow();
            LongBuffer numbers =
                    ByteBuffer.wrap(Files.readAllBytes(index))
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .asLongBuffer();
            long sum = 0;
            for (int i = 1; i < numbers.limit(); i += 2) {
                sum += numbers.get(i);
            }
            return sum;
        }
    }

    /// Without the generation, which each has of its own.
    private static byte[] memory(Path snapshot) throws IOException {
        try (Vm vm = Vm.restore(snapshot)) {
            vm.memory().write(VmGeneration.AREA.base(), new byte[16]);
            byte[] all = new byte[(int) MEMORY];
            vm.memory().read(0, all);
            return all;
        }
    }

    @Test
    void snapshotThatLiesOverAnotherIsRefusedWithoutIt() throws Exception {
        try (Vm vm = start()) {
            vm.snapshot(at("first"));
            vm.snapshot(at("second"), SnapshotOptions.DEFAULT.withBase(at("first")));
            for (String base : List.of("first", "second")) {
                SnapshotOptions over = SnapshotOptions.DEFAULT.withBase(at(base));
                var refusal =
                        assertThrows(SnapshotException.class, () -> vm.snapshot(at("first"), over));
                assertTrue(String.valueOf(refusal.getMessage()).contains("cannot take the place"));
            }
            assertGoesOn(at("first"));
            assertGoesOn(at("second"));

            vm.snapshot(at("first"));
        }

        var refusal = assertThrows(SnapshotException.class, () -> Snapshot.read(at("second")));
        assertTrue(String.valueOf(refusal.getMessage()).contains("no longer in"));
    }

    private static void write(BlockImage image, long offset, int value) throws IOException {
        MemorySegment bytes = Arena.ofAuto().allocate(512);
        bytes.fill((byte) value);
        image.write(offset, IoVector.of(bytes), 0, bytes.byteSize());
    }

    private static int read(BlockImage image, long offset) throws IOException {
        MemorySegment bytes = Arena.ofAuto().allocate(1);
        image.read(offset, IoVector.of(bytes), 0, 1);
        return bytes.get(ValueLayout.JAVA_BYTE, 0);
    }

    /// Each is restored over the snapshot's memory and disk, and sees nothing of the others.
    @Test
    void clonesHaveTheirOwnDiskAndGeneration() throws Exception {
        try (Vm vm = start();
                var disk = CopyableImage.of(RawImage.create(at("disk"), 1 << 20))) {
            write(disk, 4096, 1);
            vm.snapshot(at("snapshot"), SnapshotOptions.DEFAULT.withDisks(Map.of("web", disk)));
            write(disk, 4096, 2);
        }
        Snapshot snapshot = Snapshot.read(at("snapshot"));
        snapshot.checkDisks();
        Path image = snapshot.disks().getOrDefault("web", folder);
        var clones = new ArrayList<Vm>();
        var disks = new ArrayList<BlockImage>();
        var generations = new HashSet<Long>();
        try {
            for (int i = 0; i < CLONES; i++) {
                clones.add(Vm.builder().restore(snapshot));
                disks.add(
                        Images.overlay(
                                Images.open(image, ImageFormat.QCOW2, ImageOptions.READ_ONLY),
                                folder));
                assertOfOneMoment(clones.get(i));
                assertEquals(1, read(disks.get(i), 4096));
                write(disks.get(i), 4096, 10 + i);
                generations.add(clones.get(i).memory().readLe64(VmGeneration.AREA.base()));
            }
            long last = stamp(clones.getFirst(), PAGES - 1);
            for (Vm clone : clones.subList(1, CLONES)) {
                clone.start();
                awaitStamp(clone, last + 2);
            }
            assertEquals(last, stamp(clones.getFirst(), PAGES - 1));
            assertEquals(CLONES, generations.size());
            for (int i = 0; i < CLONES; i++) {
                assertEquals(10 + i, read(disks.get(i), 4096));
            }
        } finally {
            clones.forEach(Vm::close);
            for (BlockImage each : disks) {
                each.close();
            }
        }
    }

    /// Of each kind of memory, several from one, one from another, and the original ends first.
    @ParameterizedTest
    @MethodSource("backings")
    void cloneGoesOnWhereItsOriginalWas(Backing backing) throws Exception {
        var clones = new ArrayList<Vm>();
        try {
            try (Vm vm = start(backing)) {
                for (int i = 0; i < 3; i++) {
                    clones.add(vm.cloneWith(Vm.builder().prefault(i == 0)));
                    assertOfOneMoment(clones.getLast());
                    awaitStamp(vm, stamp(clones.getLast(), PAGES - 1) + 2);
                }
                assertFalse(vm.isPaused());
                vm.snapshot(at("snapshot"), SnapshotOptions.DEFAULT.withLive(true));
            }
            clones.add(clones.getFirst().cloneWith(Vm.builder()));
            assertEquals(stamp(clones.getFirst(), 0), stamp(clones.getLast(), 0));
            long last = stamp(clones.getFirst(), PAGES - 1);
            for (Vm clone : clones.subList(1, clones.size())) {
                clone.start();
                awaitStamp(clone, stamp(clone, PAGES - 1) + 2);
            }
            assertEquals(last, stamp(clones.getFirst(), PAGES - 1));
        } finally {
            clones.forEach(Vm::close);
        }
        assertGoesOn(at("snapshot"));
        try (Vm restored = Vm.restore(at("snapshot"));
                Vm clone = restored.cloneWith(Vm.builder())) {
            long then = stamp(clone, PAGES - 1);
            restored.start();
            awaitStamp(restored, then + 2);
            assertEquals(then, stamp(clone, PAGES - 1));
            clone.start();
            awaitStamp(clone, then + 2);
        }
    }

    private static Stream<Backing> backings() {
        return Stream.of(new Backing.Anonymous(true), new Backing.Memfd());
    }

    @Test
    void cloneWithOtherDevicesIsRefusedAndTheGuestGoesOn() throws Exception {
        try (Vm vm = start()) {
            VmBuilder other =
                    Vm.builder().device(Virtio.pci(VirtioRng.open("rng", Rate.UNLIMITED)));

            var refusal = assertThrows(IOException.class, () -> vm.cloneWith(other));

            assertTrue(
                    String.valueOf(refusal.getMessage()).startsWith("not a clone: the machine had"),
                    refusal::toString);
            awaitStamp(vm, stamp(vm, PAGES - 1) + 2);
        }
    }

    @Test
    void diskThatIsAlteredIsFoundWhenItIsLookedFor() throws Exception {
        try (Vm vm = start();
                var disk = CopyableImage.of(RawImage.create(at("disk"), 1 << 20))) {
            write(disk, 0, 5);
            vm.snapshot(at("snapshot"), SnapshotOptions.DEFAULT.withDisks(Map.of("web", disk)));
        }
        Snapshot snapshot = Snapshot.read(at("snapshot"));
        Path image = snapshot.disks().getOrDefault("web", folder);
        byte[] bytes = Files.readAllBytes(image);
        bytes[bytes.length - 1] ^= 1;
        Files.write(image, bytes);

        assertThrows(SnapshotException.class, snapshot::checkDisks);
        Files.write(image, new byte[1]);
        assertThrows(SnapshotException.class, () -> Snapshot.read(at("snapshot")));
    }

    /// An image whose readers wait.
    private static BlockImage waiting(
            BlockImage image, CountDownLatch reached, CountDownLatch mayGo) {
        return (BlockImage)
                Proxy.newProxyInstance(
                        BlockImage.class.getClassLoader(),
                        new Class<?>[] {BlockImage.class},
                        (_, method, arguments) -> {
                            if (method.getName().equals("read")) {
                                reached.countDown();
                                mayGo.await();
                            }
                            return method.invoke(image, arguments);
                        });
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void stopDoesNotWaitForASnapshotAndLeavesTheEarlierOne(boolean live) throws Exception {
        var reached = new CountDownLatch(1);
        var mayGo = new CountDownLatch(1);
        List<Path> earlier;
        try (Vm vm = start();
                var disk =
                        CopyableImage.of(
                                waiting(RawImage.create(at("disk"), 1 << 20), reached, mayGo))) {
            vm.snapshot(at("snapshot"));
            earlier = files(at("snapshot"));
            write(disk, 4096, 1);
            var options = SnapshotOptions.DEFAULT.withDisks(Map.of("web", disk)).withLive(live);
            try (ExecutorService other = Executors.newSingleThreadExecutor()) {
                Future<?> writing = other.submit(() -> vm.snapshot(at("snapshot"), options));
                reached.await();

                vm.stop();

                mayGo.countDown();
                Throwable refusal = assertThrows(ExecutionException.class, writing::get).getCause();
                assertEquals(
                        at("snapshot") + ": no snapshot, as the guest has ended meanwhile",
                        assertInstanceOf(SnapshotException.class, refusal).getMessage());
            }
        }
        assertEquals(earlier, files(at("snapshot")));
        Snapshot.read(at("snapshot")).checkMemory();
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    @Test
    void folderThatCannotBeWrittenIsSaidAndTheGuestGoesOn() throws Exception {
        Path file = Files.createFile(at("file"));
        try (Vm vm = start()) {
            assertThrows(IOException.class, () -> vm.snapshot(file.resolve("inside")));
            assertThrows(
                    IOException.class,
                    () -> vm.snapshot(file, SnapshotOptions.DEFAULT.withLive(true)));

            awaitStamp(vm, stamp(vm, PAGES - 1) + 2);
            assertFalse(vm.isPaused());
        }
        assertEquals(0, Files.size(file));
    }
}
