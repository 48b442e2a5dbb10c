package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.memory.Backing;

/// What does a machine cost beside the memory that its guest touches: a clone of a snapshot, a copy
/// of a running guest, one of a hundred machines? And for how long does a guest stand still that
/// writes to its memory while a live snapshot is made?
final class CloneCosts {
    private static final int CLONES = 32;
    private static final int WARM_UPS = 5;
    private static final int COPIES = 100;
    private static final int MACHINES = 100;
    private static final int ROUNDS = 20;
    private static final long USED = 64L << 20;
    private static final long MEMORY = 128L << 20;

    private CloneCosts() {}

    static void run() throws Exception {
        Path folder = Files.createTempDirectory("kaval-bench");
        try {
            clones(folder.resolve("clones"));
            copies("128 MiB of anonymous memory", MEMORY, Backing.anonymous());
            copies("128 MiB that are a memfd", MEMORY, new Backing.Memfd());
            copies("8 GiB that are a memfd", 8L << 30, new Backing.Memfd());
            machines();
            live(folder.resolve("live"));
        } finally {
            try (Stream<Path> files = Files.walk(folder)) {
                files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
            }
        }
    }

    private static FlatPayload payload(String hex) {
        return FlatPayload.of(HexFormat.ofDelimiter(" ").parseHex(hex), Mode.LONG64);
    }

    /// cli; halt: hlt; jmp halt.
    private static FlatPayload idle() {
        return payload("fa f4 eb fd");
    }

    /// Writes a word to each page of 16 MiB, over and over, as fast as it can.
    private static FlatPayload dirties() {
        return payload(
                "48 c7 c7 00 00 00 01 " // next: mov rdi, 0x1000000
                        + "b9 00 10 00 00 " // mov ecx, 4096
                        + "48 ff 07 " // page: inc qword [rdi]
                        + "48 81 c7 00 10 00 00 " // add rdi, 4096
                        + "ff c9 " // dec ecx
                        + "75 f2 " // jnz page
                        + "eb e4"); // jmp next
    }

    private static Vm used(FlatPayload payload) throws IOException {
        return used(payload, MEMORY, Backing.anonymous());
    }

    private static Vm used(FlatPayload payload, long bytes, Backing backing) throws IOException {
        Vm vm = Vm.builder().memory(bytes).memoryBacking(backing).boot(payload).build();
        for (long at = 16L << 20; at < USED + (16L << 20); at += 4096) {
            vm.memory().writeLe64(at, at);
        }
        return vm;
    }

    /// Private memory of this process, in bytes (`smaps_rollup` of proc(5)), and what is used of
    /// the heap, all of which it has from the beginning.
    private static long privateBytes() throws IOException {
        System.gc();
        System.gc();
        Runtime heap = Runtime.getRuntime();
        long kibibytes = (heap.totalMemory() - heap.freeMemory()) >> 10;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            if (line.startsWith("Private_")) {
                kibibytes += Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        return kibibytes << 10;
    }

    private static void clones(Path snapshot) throws Exception {
        try (Vm vm = used(idle())) {
            vm.snapshot(snapshot);
        }
        for (int i = 0; i < WARM_UPS; i++) {
            restoreAll(snapshot, CLONES).forEach(Vm::close);
        }
        long before = privateBytes();
        long begin = System.nanoTime();
        List<Vm> clones = restoreAll(snapshot, CLONES);
        double millis = millisSince(begin);
        long extra = privateBytes() - before;
        clones.forEach(Vm::close);
        System.out.printf(
                "%n%d clones of a snapshot with %d MiB in use: %.2f ms and %.2f MiB of private memory each%n",
                CLONES, USED >> 20, millis / CLONES, extra / 1048576.0 / CLONES);
    }

    private static List<Vm> restoreAll(Path directory, int count) throws IOException {
        Snapshot snapshot = Snapshot.read(directory);
        var all = new ArrayList<Vm>();
        for (int i = 0; i < count; i++) {
            Vm vm = Vm.builder().restore(snapshot);
            vm.start();
            all.add(vm);
        }
        return all;
    }

    /// The median is of a JVM that has grown warm meanwhile.
    private static void copies(String memory, long bytes, Backing backing) throws Exception {
        var first = new Samples();
        var later = new Samples();
        var extra = new Samples();
        for (int i = 0; i < COPIES; i++) {
            try (Vm vm = used(idle(), bytes, backing)) {
                vm.start();
                long begin = System.nanoTime();
                try (Vm clone = vm.cloneWith(Vm.builder())) {
                    clone.start();
                    first.add(millisSince(begin));
                }
                long before = privateBytes();
                begin = System.nanoTime();
                try (Vm clone = vm.cloneWith(Vm.builder())) {
                    clone.start();
                    later.add(millisSince(begin));
                    extra.add((privateBytes() - before) / 1048576.0);
                }
            }
        }
        System.out.printf(
                "a copy of a running guest with %d MiB in use of %s: the first %.1f ms (least %.1f), the second %.1f (least %.1f) and %.2f MiB%n",
                USED >> 20,
                memory,
                first.median(),
                first.quantile(0),
                later.median(),
                later.quantile(0),
                extra.median());
    }

    private static double millisSince(long begin) {
        return (System.nanoTime() - begin) / 1e6;
    }

    private static void machines() throws Exception {
        var all = new ArrayList<Vm>();
        for (int round = 0; round < 2; round++) { // the first one warms up
            long before = privateBytes();
            long begin = System.nanoTime();
            for (int i = 0; i < MACHINES; i++) {
                Vm vm = Vm.builder().memory(MEMORY).boot(idle()).build();
                vm.start();
                all.add(vm);
            }
            double seconds = (System.nanoTime() - begin) / 1e9;
            long after = privateBytes();
            if (round > 0) {
                System.out.printf(
                        "%d machines of 128 MiB: started in %.2f s, %.2f MiB of private memory each%n",
                        MACHINES, seconds, (after - before) / 1048576.0 / MACHINES);
            }
            all.forEach(Vm::close);
            all.clear();
        }
    }

    private static void live(Path snapshot) throws Exception {
        var still = new Samples();
        var all = new Samples();
        try (Vm vm = used(dirties())) {
            vm.start();
            for (int i = 0; i < ROUNDS; i++) {
                long begin = System.nanoTime();
                Duration pause = vm.snapshot(snapshot, SnapshotOptions.DEFAULT.withLive(true));
                all.add((System.nanoTime() - begin) / 1e6);
                still.add(pause.toNanos() / 1e6);
            }
        }
        System.out.printf(
                "live snapshots of a guest that writes to 16 MiB over and over: it stood still for %.1f ms (most %.1f), of %.0f ms%n",
                still.median(), still.quantile(1), all.median());
    }
}
