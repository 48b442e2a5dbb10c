package org.kaval.devices.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kaval.devices.Bus;
import org.kaval.devices.FakeDoorbells;
import org.kaval.devices.FakeMessages;
import org.kaval.devices.Host;
import org.kaval.devices.LevelLine;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.pci.PciEcam;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.linux.ErrnoException;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// A driver's device is saved, and goes on as another one on the same memory.
class VirtioPersistTest {
    private static final GuestRange WINDOW = new GuestRange(0xc000_0000L, 0x1000_0000);
    private static final long NEW_BAR = 0xc800_0000L;
    private static final long DATA = 0x8000;
    private static final long LONG_ENOUGH = TimeUnit.SECONDS.toNanos(60);
    private static final int FEATURES_OK = 8;
    private static final int DRIVER_OK = 4;
    private static final int MSI_X_ENABLE = 0x8000;

    private final GuestMemory memory = GuestDriver.memory(1 << 20);
    private final GuestDriver driver = new GuestDriver(memory, 0x1000, EchoDevice.SIZE);
    private final Rig first = new Rig();
    private final Rig second = new Rig();

    VirtioPersistTest() throws ErrnoException {}

    /// A device on a bus of its own.
    private final class Rig {
        private final EchoDevice device = new EchoDevice();
        private final FakeMessages messages = new FakeMessages();
        private final Bus mmio = new Bus("mmio");
        private final PciBus pci =
                new PciBus(new Bus("port"), List.of(), mmio, List.of(WINDOW), _ -> LevelLine.NONE);
        private final PciEcam ecam = new PciEcam(pci);
        private final VirtioPci function;

        Rig() throws ErrnoException {
            function =
                    VirtioPci.create(
                            device,
                            new VirtioHost(
                                    memory,
                                    new FakeDoorbells(),
                                    bug -> {
                                        throw new AssertionError(bug);
                                    }),
                            messages);
            pci.add(0, 0, function.function());
        }

        /// What a driver does: the BAR elsewhere, a vector for queue 0, and the queue.
        void begin() {
            ecam.write(0x10, 4, NEW_BAR);
            ecam.write(4, 2, 2);
            ecam.write(msix() + 2, 2, MSI_X_ENABLE);
            mmio.write(NEW_BAR + 0x4000, 4, 0xfee0_1000L);
            mmio.write(NEW_BAR + 0x4008, 4, 0x51);
            mmio.write(NEW_BAR + 0x400c, 4, 0);
            common(0x08, 4, 1);
            common(0x0c, 4, 1); // VERSION_1
            common(0x14, 1, FEATURES_OK);
            common(0x16, 2, 0);
            common(0x1a, 2, 0);
            common(0x20, 4, driver.descriptors);
            common(0x28, 4, driver.available);
            common(0x30, 4, driver.used);
            common(0x1c, 2, 1);
            common(0x14, 1, FEATURES_OK | DRIVER_OK);
        }

        private int msix() {
            int at = (int) ecam.read(0x34, 1);
            while (ecam.read(at, 1) != 0x11) {
                at = (int) ecam.read(at + 1, 1);
            }
            return at;
        }

        void common(int offset, int size, long value) {
            mmio.write(NEW_BAR + offset, size, value);
        }

        void ring() {
            function.control().ring(0);
        }

        Map<String, Object> save() {
            var state = StateFields.saving();
            function.persist(state.part("device"));
            pci.persist(state.part("pci"));
            return state.saved();
        }

        void restore(Map<String, Object> saved) {
            function.hold();
            var state = StateFields.restoring(saved, 0);
            function.persist(state.part("device"));
            pci.persist(state.part("pci"));
            state.checkAllTaken();
            function.restored();
            function.release();
        }
    }

    @AfterEach
    void free() {
        first.device.permits.release(Integer.MAX_VALUE / 4);
        first.function.close();
        second.function.close();
        memory.close();
    }

    private int add(String text) {
        memory.write(DATA, text.getBytes(US_ASCII));
        return driver.add(
                Buffer.toRead(DATA, text.length()), Buffer.toWrite(DATA + 0x100, text.length()));
    }

    private void awaitUsed(int head, long written) throws Exception {
        Host.until("the request is used", () -> driver.usedIndex() == head / 2 + 1);
        assertEquals(List.of(new Used(head, written)), driver.collect());
    }

    @Test
    void restoredDeviceServesTheQueueWhereTheOtherStopped() throws Exception {
        first.begin();
        int one = add("one");
        first.ring();
        awaitUsed(one, 3);
        first.function.hold();
        assertTrue(first.function.awaitIdle(LONG_ENOUGH));
        int two = add("three");
        first.ring();

        second.restore(first.save());

        awaitUsed(two, 5);
        assertEquals(List.of("activate 0x100000000"), second.device.events);
        Host.until("its interrupt", () -> second.messages.take().contains("0 pulses"));
    }

    @Test
    void interruptThatMayHaveBeenLostIsRepeatedWhereTheDriverWantsIt() {
        first.begin();
        first.function.hold();
        Map<String, Object> saved = first.save();

        second.restore(saved);

        assertEquals(List.of("0 goes to 0xfee01000, 0x51", "0 pulses"), second.messages.take());
    }

    @Test
    void registersAreWhereTheDriverHasPutThem() {
        first.begin();
        first.function.hold();

        second.restore(first.save());

        assertEquals(FEATURES_OK | DRIVER_OK, second.mmio.read(NEW_BAR + 0x14, 1));
        assertEquals(0x55667788L, second.mmio.read(NEW_BAR + 0x2000, 4));
        assertEquals(1, second.mmio.read(NEW_BAR + 0x1c, 2), "queue 0 is enabled");
        assertEquals(text(first.save()), text(second.save()));
    }

    /// Bytes have no equality.
    private static String text(Map<String, Object> state) {
        var text = new StringBuilder();
        state.forEach((name, value) -> {
            Object shown = value;
            if (value instanceof byte[] bytes) {
                shown = HexFormat.of().formatHex(bytes);
            } else if (value instanceof Map<?, ?> map) {
                var inner = new HashMap<String, Object>();
                map.forEach((key, field) -> inner.put(String.valueOf(key), field));
                shown = text(new TreeMap<>(inner));
            }
            text.append(name).append('=').append(shown).append('\n');
        });
        return text.toString();
    }

    @Test
    void deviceIsNotIdleBeforeItsRequestIsDone() throws Exception {
        first.device.permits.drainPermits();
        first.begin();
        int head = add("slow");
        first.ring();
        Host.until("it has begun", () -> first.device.begun.get() == 1);

        first.function.hold();
        assertFalse(first.function.awaitIdle(1));
        first.device.permits.release();

        assertTrue(first.function.awaitIdle(LONG_ENOUGH));
        awaitUsed(head, 4);
    }

    @Test
    void heldDeviceGoesOnByItselfWhenItIsReleased() throws Exception {
        first.begin();
        first.function.hold();
        assertTrue(first.function.awaitIdle(LONG_ENOUGH));
        int head = add("later");
        first.ring();

        first.function.release();

        awaitUsed(head, 5);
    }

    private void refused(Consumer<Map<String, Object>> change, String message) {
        first.begin();
        first.function.hold();
        var saving = StateFields.saving();
        first.function.control().persist(saving);
        var control = new HashMap<String, Object>(saving.saved());
        change.accept(control);
        second.function.hold();
        var state = StateFields.restoring(control, 0);

        var refusal =
                assertThrows(StateException.class, () -> second.function.control().persist(state));

        assertEquals(message, refusal.getMessage());
    }

    @Test
    void featuresThatTheDeviceHasNotAreRefused() {
        refused(
                control -> control.put("features", 1L << 32 | 1 << 17),
                "echo0 has features 0x130000005, and its driver uses 0x100020000");
    }

    @Test
    void deviceOfAnotherKindIsRefused() {
        refused(
                control -> control.put("type", 2L),
                "the type of echo0 is 0x2a, and was 0x2 when the snapshot was made");
    }

    @Test
    void ringsOutsideOfMemoryAreRefused() {
        refused(
                control -> {
                    var queue = new HashMap<String, Object>();
                    queue.put("ready", true);
                    queue.put("size", 8L);
                    queue.put("descriptors", 1L << 40);
                    control.put("queue0", queue);
                },
                "queue 0: descriptors at 0x10000000000+0x80");
    }
}
