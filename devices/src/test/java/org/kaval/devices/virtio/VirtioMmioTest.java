package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.FakeDoorbells;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.linux.ErrnoException;

class VirtioMmioTest extends TransportTest {
    private static final long BASE = 0xf000_0000L;

    private final FakeDoorbells doorbells = new FakeDoorbells();
    private final AtomicInteger pulses = new AtomicInteger();
    private final VirtioMmio mmio;

    VirtioMmioTest() throws ErrnoException {
        mmio =
                VirtioMmio.create(
                        device,
                        new VirtioHost(memory, doorbells, bug -> device.events.add(bug.toString())),
                        BASE,
                        pulses::incrementAndGet);
    }

    private int read(int offset) {
        return (int) mmio.read(offset, 4);
    }

    private void write(int offset, int value) {
        mmio.write(offset, 4, Integer.toUnsignedLong(value));
    }

    @Override
    void close() {
        mmio.close();
    }

    @Override
    Registers registers() {
        return new Registers() {
            @Override
            public int status() {
                return read(0x70);
            }

            @Override
            public void setStatus(int value) {
                write(0x70, value);
            }

            @Override
            public long deviceFeatures() {
                write(0x14, 1);
                long high = read(0x10);
                write(0x14, 0);
                return (high << 32) | Integer.toUnsignedLong(read(0x10));
            }

            @Override
            public void setDriverFeatures(long features) {
                write(0x24, 1);
                write(0x20, (int) (features >>> 32));
                write(0x24, 0);
                write(0x20, (int) features);
            }

            @Override
            public void enable(int index, int size, long descriptors, long available, long used) {
                write(0x30, index);
                assertEquals(EchoDevice.SIZE, read(0x34));
                write(0x38, size);
                write(0x80, (int) descriptors);
                write(0x84, (int) (descriptors >>> 32));
                write(0x90, (int) available);
                write(0x94, (int) (available >>> 32));
                write(0xa0, (int) used);
                write(0xa4, (int) (used >>> 32));
                write(0x44, 1);
            }

            @Override
            public boolean isEnabled(int index) {
                write(0x30, index);
                return read(0x44) == 1;
            }

            @Override
            public void ring(int index) {
                write(0x50, index);
            }

            @Override
            public long config(int offset, int size) {
                return mmio.read(0x100 + offset, size);
            }

            @Override
            public void setConfig(int offset, int size, long value) {
                mmio.write(0x100 + offset, size, value);
            }

            @Override
            public int generation() {
                return read(0xfc);
            }

            @Override
            public int queueInterrupts() {
                return (read(0x60) & 1) == 0 ? 0 : pulses.get() - configInterrupts();
            }

            @Override
            public int configInterrupts() {
                return read(0x60) >> 1;
            }
        };
    }

    @Test
    void saysWhatItIs() {
        assertEquals(0x7472_6976, read(0));
        assertEquals(2, read(4));
        assertEquals(EchoDevice.TYPE, read(8));
        assertEquals(0x1af4, read(0xc));
    }

    @Test
    void doorbellsAreValuesOfOneRegister() {
        assertEquals(List.of(doorbell(0), doorbell(1)), doorbells.assigned());
    }

    private static Doorbell doorbell(int value) {
        return new Doorbell(Doorbell.AddressSpace.MMIO, BASE + 0x50, 4, OptionalLong.of(value));
    }

    @Test
    void queueThatIsNotThereHasNoSize() {
        write(0x30, 2);
        assertEquals(0, read(0x34));
        write(0x38, 8);
        write(0x44, 1);
        assertEquals(0, read(0x44));
        write(0x30, -1);
        assertEquals(0, read(0x34));
        write(0x50, 77);
        write(0x50, -1);
    }

    @Test
    void thereIsNoSharedMemory() {
        assertEquals(-1, read(0xb0));
        assertEquals(-1, read(0xbc));
    }

    @Test
    void interruptIsTakenNoteOf() {
        begin(OFFERED);
        echo(0, driver, "hello");
        until("the interrupt", () -> pulses.get() == 1);
        assertEquals(1, read(0x60));

        write(0x64, 2);
        assertEquals(1, read(0x60));
        write(0x64, 1);
        assertEquals(0, read(0x60));
    }

    @Test
    void queueCanBeGivenUp() {
        begin(OFFERED);
        write(0x30, 0);
        write(0x44, 0);
        assertEquals(0, read(0x44));
        driver.add(GuestDriver.Buffer.toRead(DATA, 4));
        registers().ring(0);
        echo(1, other, "other");
        assertEquals(0, driver.usedIndex());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 8, 3})
    void otherWidthsReadAsZeroAndAreIgnored(int width) {
        for (int offset = 0; offset < 0x100; offset++) {
            mmio.write(offset, width, 0xff);
            assertEquals(0, mmio.read(offset, width), "offset " + offset);
        }
        assertEquals(0, read(0x70));
    }
}
