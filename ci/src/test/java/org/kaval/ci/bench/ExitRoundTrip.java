package org.kaval.ci.bench;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.HexFormat;
import java.util.concurrent.SynchronousQueue;
import org.kaval.devices.Device;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.memory.GuestRange;

/// How long does an exit to user space and back take, a port write and a memory write of a 64-bit
/// guest, against the same loop in C (`exits.c`) in the same run, in turns? And does it allocate?
///
/// The Java side is the whole path: `KVM_RUN`, the exit decoded, the bus, the device.
final class ExitRoundTrip {
    private static final int EXITS = 20_000;
    private static final int WARM_UP = 10;
    private static final int ROUNDS = 31;

    private ExitRoundTrip() {}

    /// A register whose writer is stopped after every {@link #EXITS} writes and told how long they
    /// took.
    private static final class Meter implements Device {
        private final SynchronousQueue<long[]> results = new SynchronousQueue<>();
        private final SynchronousQueue<Boolean> goAhead = new SynchronousQueue<>();
        private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        private int count;
        private long begin;
        private long allocatedAtBegin;

        @Override
        public long read(long offset, int size) {
            return 0;
        }

        @Override
        public void write(long offset, int size, long value) {
            if (count == 0) {
                allocatedAtBegin = threads.getCurrentThreadAllocatedBytes();
                begin = System.nanoTime();
            }
            if (count++ == EXITS) {
                long nanos = System.nanoTime() - begin;
                long allocated = threads.getCurrentThreadAllocatedBytes() - allocatedAtBegin;
                count = 0;
                hand(nanos, allocated);
            }
        }

        private void hand(long nanos, long allocated) {
            try {
                results.put(new long[] {nanos, allocated});
                goAhead.take();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    static void run() throws Exception {
        System.out.printf("%nexit to user space and back, median of %d rounds%n", ROUNDS);
        // out 0x81, al; jmp to it
        compare("pio", "e6 81 eb fc");
        // mov edi, 0xd0000000; mov [rdi], eax; jmp to the mov
        compare("mmio", "bf 00 00 00 d0 89 07 eb fc");
    }

    private static void compare(String kind, String code) throws Exception {
        var meter = new Meter();
        byte[] payload = HexFormat.ofDelimiter(" ").parseHex(code);
        try (var c = new CProgram(kind);
                Vm vm =
                        Vm.builder()
                                .memory(16 << 20)
                                .boot(FlatPayload.of(payload, Mode.LONG64))
                                .device(machine ->
                                        machine.ports().add(new GuestRange(0x81, 1), meter))
                                .device(machine ->
                                        machine.mmio()
                                                .add(new GuestRange(0xd000_0000L, 4096), meter))
                                .build()) {
            vm.start();
            measure(kind, meter, c);
            // the guest waits in the device until it may go on, and then ends
            Thread.ofVirtual().start(() -> drain(meter));
            vm.stop();
        }
    }

    private static void measure(String kind, Meter meter, CProgram program)
            throws IOException, InterruptedException {
        var java = new Samples();
        var c = new Samples();
        var ratio = new Samples();
        long allocated = 0;
        for (int i = -WARM_UP; i < ROUNDS; i++) {
            long[] ours = meter.results.take();
            double theirs = program.measure(EXITS);
            meter.goAhead.put(true);
            if (i >= 0) {
                java.add((double) ours[0] / EXITS);
                c.add(theirs / EXITS);
                ratio.add(ours[0] / theirs);
                allocated += ours[1];
            }
        }
        System.out.printf(
                "  %-5s Java %7.0f ns   C %7.0f ns   Java/C %.3f (of medians %.3f)   %.3f bytes allocated per exit%n",
                kind,
                java.median(),
                c.median(),
                ratio.median(),
                java.median() / c.median(),
                (double) allocated / ((long) EXITS * ROUNDS));
    }

    private static void drain(Meter meter) {
        try {
            while (true) {
                meter.results.take();
                meter.goAhead.put(true);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
