package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kaval.devices.Host;
import org.kaval.devices.RateLimit;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Fd;

class VirtioRngTest {
    private DeviceDriver driver;

    @BeforeEach
    void open() throws ErrnoException {
        open(RateLimit.Rate.UNLIMITED);
    }

    private void open(RateLimit.Rate rate) throws ErrnoException {
        driver = new DeviceDriver(VirtioRng.open("rng", rate));
        driver.begin(DEFAULT);
    }

    @AfterEach
    void close() {
        driver.close();
    }

    /// The values of the bytes: 4096 random ones have nearly all.
    private Set<Byte> values(long address, int size) {
        var values = new HashSet<Byte>();
        for (byte each : driver.read(address, size)) {
            values.add(each);
        }
        return values;
    }

    @Test
    void buffersAreFilledAndNoMore() {
        var used =
                driver.request(
                        0,
                        Buffer.toWrite(DATA, 4095),
                        Buffer.toWrite(DATA + 0x2000, 1),
                        Buffer.toWrite(DATA + 0x3000, 4096));

        assertEquals(8192, used.written());
        assertTrue(values(DATA, 4095).size() > 240, "random");
        assertTrue(values(DATA + 0x3000, 4096).size() > 240, "random");
        assertEquals(Set.of((byte) 0), values(DATA + 4095, 0x1001));
        assertEquals(Set.of((byte) 0), values(DATA + 0x2001, 0xfff));
        assertEquals(Set.of((byte) 0), values(DATA + 0x4000, 0x1000));
    }

    @Test
    void noTwoRequestsGetTheSame() {
        driver.request(0, Buffer.toWrite(DATA, 64));
        byte[] first = driver.read(DATA, 64);
        driver.request(0, Buffer.toWrite(DATA, 64));

        assertFalse(Arrays.equals(first, driver.read(DATA, 64)));
    }

    @Test
    void requestOfGigabytesGetsALittle() {
        var many = new Buffer[VirtioRng.QUEUE_SIZE];
        Arrays.fill(many, Buffer.toWrite(DATA, 4 << 20));

        assertEquals(VirtioRng.MAX_BYTES, driver.request(0, many).written());
        assertEquals(Set.of((byte) 0), values(DATA + VirtioRng.MAX_BYTES, 0x1000));
    }

    @Test
    void requestWithoutRoomNeedsAReset() {
        driver.submit(0, Buffer.toWrite(DATA, 0));
        driver.awaitNeedsReset();

        driver.begin(DEFAULT);
        assertEquals(8, driver.request(0, Buffer.toWrite(DATA, 8)).written());
    }

    @Test
    void requestWithSomethingToReadNeedsAReset() {
        driver.submit(0, Buffer.toRead(DATA, 1), Buffer.toWrite(DATA, 8));
        driver.awaitNeedsReset();
    }

    @Test
    void requestsThatWaitForTheirRateEndWithAReset() throws Exception {
        driver.close();
        open(new RateLimit.Rate(1, 8));
        assertEquals(8, driver.request(0, Buffer.toWrite(DATA, 8)).written());
        driver.submit(0, Buffer.toWrite(DATA, 4096)); // which takes an hour

        driver.control.setStatus(0);

        assertEquals(0, driver.control.status());
        assertEquals(0, driver.queues.getFirst().collect().size());
        driver.begin(DEFAULT);
    }

    @Test
    void hostWithoutRandomNumbersGivesNone() throws Exception {
        driver.close();
        Fd directory = Fd.open(Path.of("/"), Fd.Access.READ);
        driver = new DeviceDriver(new VirtioRng("rng", directory, RateLimit.Rate.UNLIMITED));
        driver.begin(DEFAULT);

        assertEquals(0, driver.request(0, Buffer.toWrite(DATA, 8)).written());
    }

    @Test
    void requestAllocatesNothingBesideTheSystemCall() throws Exception {
        VirtioRng rng = VirtioRng.open("rng", RateLimit.Rate.UNLIMITED);
        try (EventFd event = EventFd.create("nobody's")) {
            VirtioRng.Requests requests = rng.new Requests();
            var chain = new DescriptorChain(driver.memory);
            chain.begin(0);
            chain.writable().add(DATA, 64);
            long systemCall = Host.allocatedBytes(event::drain);

            long whole = Host.allocatedBytes(() -> requests.handle(chain));
            assertTrue(whole <= systemCall, () -> whole + " bytes, " + systemCall + " of the call");
        } finally {
            rng.close();
        }
    }
}
