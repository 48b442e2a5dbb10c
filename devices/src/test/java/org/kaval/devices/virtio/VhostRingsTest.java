package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;
import static org.kaval.devices.virtio.DeviceDriver.until;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.Host;
import org.kaval.devices.RateLimit;
import org.kaval.devices.StateFields;
import org.kaval.devices.net.NetTraffic;
import org.kaval.devices.net.PcapFile;
import org.kaval.devices.net.Vhost;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.ErrnoException;

class VhostRingsTest {
    private static final long MAC = 0x02_00_00_00_00_01L;
    private static final long FEATURES =
            DEFAULT
                    | VirtioNet.F_MAC
                    | VirtioNet.F_STATUS
                    | VirtioNet.F_MRG_RXBUF
                    | VirtioNet.F_CTRL_VQ
                    | VirtioNet.F_MQ;
    private static final int TX = 1;
    private static final int CONTROL = 4;
    private static final int FRAME = 12 + 60;

    private final FakeVhost backend = new FakeVhost(2);
    private final VirtioNet net = new VirtioNet("net", backend, VirtioNet.Options.of(MAC));
    private final DeviceDriver driver;
    private final FakeVhost.Kernel first = backend.kernels.getFirst();
    private final FakeVhost.Kernel second = backend.kernels.getLast();

    VhostRingsTest() throws ErrnoException {
        driver = new DeviceDriver(net);
        driver.begin(FEATURES);
    }

    @AfterEach
    void close() {
        driver.close();
    }

    private int usePairs(int count) {
        driver.memory.write(DATA, new byte[] {4, 0, (byte) count, 0});
        driver.request(CONTROL, Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 0x1000, 1));
        return driver.memory.readByte(DATA + 0x1000);
    }

    private NetPairs pairs() {
        return net.pairs();
    }

    private void assertRun(boolean firstRuns, boolean secondRuns) {
        assertEquals(
                List.of(firstRuns, firstRuns, secondRuns, secondRuns),
                List.of(first.runs(0), first.runs(1), second.runs(0), second.runs(1)));
    }

    /// Takes a frame of the driver's, which only a thread does.
    private void assertThreadsServe() {
        driver.request(TX, Buffer.toRead(DATA, FRAME));
        assertEquals(List.of(FRAME), backend.sentBySize);
    }

    @Test
    void kernelServesTheRingsThatTheDriverHasSet() {
        assertRun(true, false);
        Vhost.Ring ring = first.ring(Vhost.TRANSMIT);
        assertEquals(driver.queues.get(TX).size, ring.size());
        assertEquals(0, ring.next());
        assertEquals(
                driver.memory.slice(driver.queues.get(TX).descriptors, 16L * ring.size()),
                ring.descriptors());
        assertEquals(
                driver.memory.slice(driver.queues.get(TX).available, 6 + 2L * ring.size()),
                ring.available());
        assertEquals(
                driver.memory.slice(driver.queues.get(TX).used, 6 + 8L * ring.size()), ring.used());
        assertEquals(driver.control.doorbell(TX).event(), ring.kick());
        assertEquals(FEATURES, first.features);
        assertFalse(Host.hasThread("net-tx0"));
    }

    @Test
    void resetStopsAllRings() {
        usePairs(2);

        driver.control.setStatus(0);

        assertRun(false, false);
        assertFalse(Host.hasThread("net-vhost"));
    }

    @Test
    void pairsAreServedThatTheDriverUses() {
        assertEquals(0, usePairs(2));
        assertRun(true, true);
        assertEquals(2, backend.used);

        assertEquals(0, usePairs(1));
        assertRun(true, false);
        assertEquals(1, backend.used);

        assertEquals(1, usePairs(3));
        assertRun(true, false);
    }

    @Test
    void queueThatTheDriverHasNotEnabledIsNotTheKernels() {
        driver.control.setStatus(0);
        driver.control.setDriverFeatures(0, (int) FEATURES);
        driver.control.setDriverFeatures(1, (int) (FEATURES >>> 32));
        driver.control.setStatus(VirtioControl.FEATURES_OK);

        driver.control.setStatus(VirtioControl.FEATURES_OK | VirtioControl.DRIVER_OK);

        assertRun(false, false);
    }

    @Test
    void ringsOutsideOfMemoryAreRefusedBeforeTheKernelSeesThem() {
        driver.control.setStatus(0);
        VirtQueue queue = driver.control.queue(0);
        queue.setAddress(VirtQueue.Part.DESCRIPTORS, DeviceDriver.RAM - 16);
        queue.setAddress(VirtQueue.Part.AVAILABLE, 0x1000);
        queue.setAddress(VirtQueue.Part.USED, 0x2000);
        driver.control.enable(queue);
        driver.control.setStatus(VirtioControl.FEATURES_OK | VirtioControl.DRIVER_OK);

        assertTrue((driver.control.status() & VirtioControl.NEEDS_RESET) != 0);
        assertRun(false, false);
    }

    @Test
    void stateIsReadWhileNobodyServes() throws Exception {
        first.next[Vhost.RECEIVE] = 7;
        first.next[Vhost.TRANSMIT] = 0xffff;

        driver.control.hold();

        assertRun(false, false);
        assertTrue(driver.control.awaitIdle(1));
        StateFields state = StateFields.saving();
        driver.control.persist(state);
        StateFields saved = StateFields.restoring(state.saved(), 0);
        assertEquals(7, saved.part("queue0").number("nextAvailable", 0));
        assertEquals(0xffff, saved.part("queue1").number("nextUsed", 0));
        driver.control.release();
        assertRun(true, false);
        assertEquals(7, first.ring(Vhost.RECEIVE).next());
        assertEquals(0xffff, first.ring(Vhost.TRANSMIT).next());
    }

    @Test
    void restoredDeviceIsServedOnceItIsReleased() throws Exception {
        usePairs(2);
        first.next[Vhost.RECEIVE] = 7;
        driver.control.hold();
        StateFields state = StateFields.saving();
        driver.control.persist(state);
        var other = new FakeVhost(2);

        try (var restored =
                new DeviceDriver(new VirtioNet("other", other, VirtioNet.Options.of(MAC)))) {
            restored.control.hold();
            restored.control.persist(StateFields.restoring(state.saved(), 0));
            assertFalse(other.kernels.getFirst().runs(0));
            restored.control.release();

            assertEquals(7, other.kernels.getFirst().ring(Vhost.RECEIVE).next());
            assertTrue(other.kernels.getLast().runs(Vhost.TRANSMIT));
        }
    }

    @Test
    void threadsServeWhileWritesAreNoted() {
        first.next[Vhost.TRANSMIT] = 0;

        pairs().track(true);

        assertRun(false, false);
        assertThreadsServe();
        pairs().track(false);
        assertRun(true, false);
        assertEquals(1, first.ring(Vhost.TRANSMIT).next());
    }

    @Test
    void threadsServeIfTheKernelWillNot() {
        driver.control.setStatus(0);
        backend.refusing = true;

        driver.begin(FEATURES);

        assertRun(false, false);
        assertThreadsServe();
    }

    @Test
    void trafficIsWhatTheKernelCountsIfItDoes() {
        pairs().track(true);
        assertThreadsServe();
        var one = new NetTraffic.Count(1, FRAME - 12, 0);
        assertEquals(new NetTraffic(new NetTraffic.Count(0, 0, 0), one), net.traffic());

        var counted = new NetTraffic(new NetTraffic.Count(7, 700, 1), one);
        backend.counted = counted;

        assertEquals(counted, net.traffic());
    }

    @Test
    void nothingPassesWhileTheLinkIsDown() {
        net.setLink(false);
        assertRun(false, false);

        net.setLink(true);
        assertRun(true, false);
    }

    @Test
    void driverIsCalledThroughThisProcess() {
        first.call(Vhost.TRANSMIT);

        until("the driver is called", () -> driver.calls.get(TX) > 0);
    }

    @Test
    void driverThatBreaksTheRulesIsToldSo() {
        first.ring(Vhost.RECEIVE).error().signal();

        driver.awaitNeedsReset();

        until("the rings are stopped", () -> !first.runs(0) && !first.runs(1));
        driver.begin(FEATURES);
        assertRun(true, false);
    }

    @Test
    void whatTheKernelCannotDoIsRefused(@TempDir Path folder) throws Exception {
        RateLimit.Rate none = RateLimit.Rate.UNLIMITED;
        var limit = new RateLimit.Rate(1000, 1000);
        var slow = new VirtioNet.Options(MAC, 0, none, limit, null);
        assertThrows(IllegalArgumentException.class, () -> new VirtioNet("n", backend, slow));
        try (PcapFile file = PcapFile.create(folder.resolve("pcap"))) {
            var taken = new VirtioNet.Options(MAC, 0, none, none, file);
            assertThrows(IllegalArgumentException.class, () -> new VirtioNet("n", backend, taken));
        }
        assertNotNull(backend.vhost(0));
    }
}
