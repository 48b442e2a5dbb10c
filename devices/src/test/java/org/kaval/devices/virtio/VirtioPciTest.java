package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Bus;
import org.kaval.devices.FakeDoorbells;
import org.kaval.devices.FakeMessages;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.pci.PciEcam;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestRange;

class VirtioPciTest extends TransportTest {
    private static final GuestRange WINDOW = new GuestRange(0xc000_0000L, 0x1000_0000);
    private static final long BAR = WINDOW.base();
    private static final int MSI_X_ENABLE = 1 << 15;

    private final FakeDoorbells doorbells = new FakeDoorbells();
    private final FakeMessages messages = new FakeMessages();
    private final List<String> signals = new ArrayList<>();
    private final TreeMap<Integer, Boolean> levels = new TreeMap<>();
    private final Bus mmio = new Bus("mmio");
    private final PciBus pci =
            new PciBus(
                    new Bus("port"),
                    List.of(),
                    mmio,
                    List.of(WINDOW),
                    gsi -> high -> levels.put(gsi, high));
    private final PciEcam ecam = new PciEcam(pci);
    private final VirtioPci function;
    private long bar = BAR;

    VirtioPciTest() throws ErrnoException {
        function =
                VirtioPci.create(
                        device,
                        new VirtioHost(memory, doorbells, bug -> device.events.add(bug.toString())),
                        messages);
        pci.add(0, 0, function.function());
        ecam.write(4, 2, 2); // memory space
    }

    /// The capability of `type` (§4.1.4), or of that number if it is no vendor's.
    private int capability(int id, int type) {
        int at = (int) ecam.read(0x34, 1);
        while (at != 0 && (ecam.read(at, 1) != id || (id == 9 && ecam.read(at + 3, 1) != type))) {
            at = (int) ecam.read(at + 1, 1);
        }
        assertTrue(at != 0, "capability");
        return at;
    }

    private long area(int type) {
        return bar + ecam.read(capability(9, type) + 8, 4);
    }

    private long read(int offset, int size) {
        return mmio.read(area(1) + offset, size);
    }

    private void write(int offset, int size, long value) {
        mmio.write(area(1) + offset, size, value);
    }

    /// Vectors 0 and 1 for the queues, 2 for the configuration.
    private void useMessages() {
        ecam.write(capability(0x11, 0) + 2, 2, MSI_X_ENABLE);
        long table = bar + (ecam.read(capability(0x11, 0) + 4, 4) & ~7L);
        for (int i = 0; i < 3; i++) {
            mmio.write(table + 16L * i, 4, 0xfee0_0000L);
            mmio.write(table + 16L * i + 8, 4, 0x40 + i);
            mmio.write(table + 16L * i + 12, 4, 0);
        }
        messages.take();
    }

    private void chooseVectors() {
        write(0x10, 2, 2);
        for (int i = 0; i < 2; i++) {
            write(0x16, 2, i);
            write(0x1a, 2, i);
        }
    }

    @Override
    void begin(long features) {
        useMessages();
        super.begin(features);
        chooseVectors();
    }

    @Override
    void close() {
        function.close();
    }

    private int count(String... wanted) {
        signals.addAll(messages.take());
        return (int) signals.stream().filter(List.of(wanted)::contains).count();
    }

    @Override
    Registers registers() {
        return new Registers() {
            @Override
            public int status() {
                return (int) read(0x14, 1);
            }

            @Override
            public void setStatus(int value) {
                write(0x14, 1, value);
            }

            @Override
            public long deviceFeatures() {
                write(0, 4, 1);
                long high = read(4, 4);
                write(0, 4, 0);
                return (high << 32) | (read(4, 4) & 0xffff_ffffL);
            }

            @Override
            public void setDriverFeatures(long features) {
                write(8, 4, 1);
                write(0xc, 4, features >>> 32);
                write(8, 4, 0);
                write(0xc, 4, features & 0xffff_ffffL);
            }

            @Override
            public void enable(int index, int size, long descriptors, long available, long used) {
                write(0x16, 2, index);
                assertEquals(EchoDevice.SIZE, read(0x18, 2));
                write(0x18, 2, size);
                write(0x20, 4, descriptors & 0xffff_ffffL);
                write(0x24, 4, descriptors >>> 32);
                write(0x28, 4, available & 0xffff_ffffL);
                write(0x2c, 4, available >>> 32);
                write(0x30, 4, used & 0xffff_ffffL);
                write(0x34, 4, used >>> 32);
                write(0x1c, 2, 1);
            }

            @Override
            public boolean isEnabled(int index) {
                write(0x16, 2, index);
                return read(0x1c, 2) == 1;
            }

            @Override
            public void ring(int index) {
                write(0x16, 2, index);
                mmio.write(area(2) + 4 * read(0x1e, 2), 2, index);
            }

            @Override
            public long config(int offset, int size) {
                return mmio.read(area(4) + offset, size);
            }

            @Override
            public void setConfig(int offset, int size, long value) {
                mmio.write(area(4) + offset, size, value);
            }

            @Override
            public int generation() {
                return (int) read(0x15, 1);
            }

            @Override
            public int queueInterrupts() {
                return count("0 pulses", "1 pulses");
            }

            @Override
            public int configInterrupts() {
                return count("2 pulses");
            }
        };
    }

    @Test
    void saysWhatItIs() {
        assertEquals(0x1af4, ecam.read(0, 2));
        assertEquals(0x1040 + EchoDevice.TYPE, ecam.read(2, 2));
        assertEquals(1, ecam.read(8, 1));
        assertEquals(2, read(0x12, 2));
    }

    @Test
    void doorbellsMoveWithTheBar() {
        assertEquals(List.of(doorbell(BAR, 0), doorbell(BAR, 1)), doorbells.assigned());

        ecam.write(0x10, 4, BAR + 0x20_0000);

        bar = BAR + 0x20_0000;
        assertEquals(List.of(doorbell(bar, 0), doorbell(bar, 1)), doorbells.assigned());
        begin(OFFERED);
        echo(0, driver, "moved");
        ecam.write(4, 2, 0);
        assertEquals(List.of(), doorbells.assigned());
        ecam.write(4, 2, 2);
        assertEquals(2, doorbells.assigned().size());
        pci.remove(0);
        assertEquals(List.of(), doorbells.assigned());
    }

    private static Doorbell doorbell(long bar, int queue) {
        return new Doorbell(
                Doorbell.AddressSpace.MMIO, bar + 0x3000 + 4L * queue, 0, OptionalLong.empty());
    }

    @Test
    void withoutMessagesThePinIsHighUntilTheStatusIsRead() {
        super.begin(OFFERED);
        echo(0, driver, "hello");
        until("the pin is high", () -> Boolean.TRUE.equals(levels.get(16)));

        assertEquals(1, mmio.read(area(3), 1));

        assertEquals(false, levels.get(16));
        assertEquals(0, mmio.read(area(3), 1));
        device.link().changeConfig(() -> {});
        assertEquals(true, levels.get(16));
        registers().setStatus(0);
        assertEquals(false, levels.get(16));
        assertEquals(0, mmio.read(area(3), 1));
    }

    @Test
    void vectorThatIsNotThereIsNotTaken() {
        write(0x10, 2, 3);
        assertEquals(0xffff, read(0x10, 2));
        write(0x10, 2, 2);
        assertEquals(2, read(0x10, 2));
        write(0x16, 2, 1);
        write(0x1a, 2, 0xfffe);
        assertEquals(0xffff, read(0x1a, 2));
        registers().setStatus(0);
        assertEquals(0xffff, read(0x10, 2));
    }

    @Test
    void withoutVectorNothingIsTold() {
        useMessages();
        super.begin(OFFERED);
        echo(0, driver, "hello");
        device.link().changeConfig(() -> {});

        assertEquals(0, registers().queueInterrupts() + registers().configInterrupts());
        assertTrue(levels.get(16) == null || !levels.get(16));
    }

    @Test
    void registersOfAQueueThatIsNotThereAreZero() {
        write(0x16, 2, 2);
        write(0x18, 2, 8);
        write(0x1c, 2, 1);

        assertEquals(0, read(0x18, 2));
        assertEquals(0, read(0x1c, 2));
        mmio.write(area(2) + 4 * 700, 2, 700);
    }

    @Test
    void registersCanBeHadThroughConfigurationSpace() {
        int access = capability(9, 5);
        ecam.write(access + 4, 1, 0);
        ecam.write(access + 8, 4, 0x14);
        ecam.write(access + 12, 4, 1);

        ecam.write(access + 16, 1, 3);

        assertEquals(3, registers().status());
        assertEquals(3, ecam.read(access + 16, 1) & 0xff);
        ecam.write(access + 8, 4, 0x12);
        ecam.write(access + 12, 4, 2);
        assertEquals(2, ecam.read(access + 16, 4));
    }

    @ParameterizedTest
    @ValueSource(longs = {0x1_0000, 0xffff_ffffL, 0x13, 0xfffe})
    void accessThroughConfigurationSpaceThatCannotBeReadsAsOnes(long offset) {
        int access = capability(9, 5);
        ecam.write(access + 8, 4, offset);
        ecam.write(access + 12, 4, 4);

        ecam.write(access + 16, 4, 0);

        assertEquals(-1, ecam.read(access + 16, 4));
        ecam.write(access + 12, 4, 3);
        assertEquals(-1, ecam.read(access + 16, 4));
        ecam.write(access + 4, 1, 1);
        assertEquals(-1, ecam.read(access + 16, 4));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4, 8})
    void accessesOfAnyWidthAnywhereAreTaken(int width) {
        for (int offset = 0; offset + width <= 0x1_0000; offset++) {
            mmio.read(bar + offset, width);
            mmio.write(bar + offset, width, 0);
        }
        begin(OFFERED);
        echo(0, driver, "well");
    }

    @Test
    void whoInterruptsByItselfIsToldOfEachWay() {
        begin(VirtioControl.F_VERSION_1);
        var told = new ArrayList<Boolean>();

        function.control().interruptBy(0, event -> told.add(event != null));
        write(0x16, 2, 0);
        write(0x1a, 2, 0xffff); // no vector
        write(0x1a, 2, 1);
        mmio.write(bar + 0x4000 + 16 + 12, 4, 1); // masked
        mmio.write(bar + 0x4000 + 12, 4, 1); // another one's
        function.control().interruptBy(0, null);
        mmio.write(bar + 0x4000 + 16 + 12, 4, 0);

        // these messages have no eventfd: that it hears of the changes is what counts
        assertEquals(List.of(false, false, false, false), told);
    }
}
