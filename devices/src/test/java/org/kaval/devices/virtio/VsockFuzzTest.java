package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.VsockHeader.OP_REQUEST;
import static org.kaval.devices.virtio.VsockHeader.OP_RESPONSE;
import static org.kaval.devices.virtio.VsockHeader.OP_RST;
import static org.kaval.devices.virtio.VsockHeader.OP_RW;
import static org.kaval.devices.virtio.VsockHeader.OP_SHUTDOWN;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.VsockGuest.Packet;
import org.kaval.memory.GuestFault;

/// Guests and hosts that a fuzzer makes up, one against the other: whatever they do is a {@link
/// GuestFault} at most, comes to an end, and leaves no stream open in the end.
///
/// A build replays the seeds and what has been found. To look for more: `JAZZER_FUZZ=1 ./mvnw -pl
/// devices -am verify -Dtest=VsockFuzzTest -Dsurefire.failIfNoSpecifiedTests=false`
class VsockFuzzTest {
    private static final int ACTION = 8; // bytes of input for one
    private static final int MOST_BUFFERS = 100; // the ring has 128 of two descriptors
    private static final int FIRST = VsockConnections.FIRST_HOST_PORT;

    /// Accepts whoever connects to an even port.
    private static final class Hosts implements VsockHost {
        final List<FakeVsockHost.Stream> streams = new ArrayList<>();
        final Deque<HostStream> clients = new ArrayDeque<>();

        FakeVsockHost.Stream make() {
            var stream = new FakeVsockHost.Stream();
            streams.add(stream);
            return stream;
        }

        @Override
        public @Nullable HostStream connect(int port) {
            return port % 2 == 0 ? make() : null;
        }

        @Override
        public @Nullable HostStream accept() {
            return clients.poll();
        }
    }

    private static byte[] script(int... actions) {
        ByteBuffer all = ByteBuffer.allocate(ACTION * (actions.length / 5));
        for (int i = 0; i + 4 < actions.length; i += 5) {
            all.put((byte) actions[i])
                    .put((byte) actions[i + 1])
                    .put((byte) actions[i + 2])
                    .put((byte) actions[i + 3])
                    .putInt(actions[i + 4]);
        }
        return all.array();
    }

    /// An action has five numbers: what it is, three bytes, and the credit of a packet.
    static Stream<byte[]> scripts() {
        // @formatter:off
        return Stream.of(
                new byte[0],
                script(
                        6, 0, 0, 20, 0, // buffers
                        0, OP_REQUEST, 0x21, 0, -1,
                        0, OP_RW, 0x21, 100, -1,
                        5, 0, 0, 60, 0, // the host sends
                        0, OP_SHUTDOWN, 0x21, 2, -1,
                        5, 0, 0x10, 60, 0,
                        0, OP_SHUTDOWN, 0x21, 3, -1),
                script(
                        6, 0, 0, 20, 0,
                        4, 0, 0, 1, 0, // a client, of port 1
                        5, 0, 0, 0, 0,
                        0, OP_RESPONSE, 0x81, 0, 10,
                        5, 0, 0, 200, 0,
                        0, OP_RW, 0x81, 200, 0x000a_0020,
                        5, 0, 0x0f, 0, 0,
                        0, OP_RST, 0x81, 0, 0),
                script(
                        0, OP_REQUEST, 0x21, 0, -1,
                        5, 0, 0x20, 3, 0, // a stream without room
                        0, OP_RW, 0x21, 200, -1,
                        0, OP_RW, 0x21, 200, -1,
                        0, OP_SHUTDOWN, 0x21, 3, -1,
                        7, 0, 0, 0, 0,
                        6, 0, 0, 3, 0));
        // @formatter:on
    }

    /// What guest and host do, an action after the other.
    @MethodSource("scripts")
    @FuzzTest(maxDuration = "5m")
    void anythingBothDo(byte[] script) throws Exception {
        var hosts = new Hosts();
        try (var guest = new VsockGuest(new IdleVsock())) {
            var connections = new VsockConnections(VsockGuest.CID, guest.driver.control, hosts);
            ByteBuffer input = ByteBuffer.wrap(script).order(ByteOrder.BIG_ENDIAN);
            try {
                while (input.remaining() >= ACTION) {
                    act(
                            guest,
                            connections,
                            hosts,
                            input.get(),
                            input.get() & 0xff,
                            input.get() & 0xff,
                            input.get() & 0xff,
                            input.getInt());
                    settle(connections);
                    check(guest);
                }
            } catch (GuestFault _) {
                // and no more of it
            }
            connections.close();
            for (FakeVsockHost.Stream stream : hosts.streams) {
                assertTrue(stream.closed || hosts.clients.contains(stream));
            }
            check(guest);
        }
    }

    private static void settle(VsockConnections connections) {
        int steps = 0;
        while (connections.step()) {
            assertTrue(++steps < 1000, "it does not come to an end");
        }
    }

    private static void act(
            VsockGuest guest,
            VsockConnections connections,
            Hosts hosts,
            int kind,
            int first,
            int second,
            int third,
            int fourth) {
        switch (kind & 7) {
            case 4 -> {
                String hello = "CONNECT %d\n".formatted(third).substring(second % 4);
                hosts.clients.add(hosts.make().with(hello + "data"));
                connections.clientsWait();
            }
            case 5 -> {
                if (hosts.streams.isEmpty()) {
                    return;
                }
                FakeVsockHost.Stream stream = hosts.streams.get(first % hosts.streams.size());
                if (third > 0) {
                    stream.with(new byte[third * 40]);
                }
                stream.atEnd |= (second & 2) != 0;
                stream.writeFails |= (second & 4) != 0;
                stream.readFails |= (second & 8) != 0;
                stream.room = (second & 0x20) != 0 ? third : Integer.MAX_VALUE;
                if (stream.token != 0) {
                    connections.ready(
                            stream.token,
                            true,
                            (second & 0x40) == 0,
                            stream.atEnd,
                            (second & 1) != 0);
                }
            }
            case 6 -> guest.give(Math.min(third % 64, MOST_BUFFERS - guest.waitingBuffers()));
            case 7 -> {
                if ((first & 1) != 0) {
                    guest.driver.submit(
                            VsockGuest.EVENTS, Buffer.toWrite(DeviceDriver.DATA, second));
                }
                connections.resetTransport();
            }
            default -> {
                int hostPort = second >= 0x80 ? FIRST + (second >> 4 & 7) : second >> 4;
                String data = first == OP_RW ? "x".repeat(third) : "x".repeat(third >> 7);
                Packet packet =
                        Packet.of(first, second & 15, hostPort, data)
                                .withFlags(third)
                                .withCredit(fourth >> 16, fourth & 0xffff)
                                .withCids((kind & 0x10) != 0 ? 4 : 3, (kind & 0x20) != 0 ? 4 : 2)
                                .withType((kind & 0x40) != 0 ? 2 : 1);
                guest.sendWithLength(packet, data.length() + (kind >>> 7 & 1));
            }
        }
    }

    /// What has come is packets.
    private static void check(VsockGuest guest) {
        for (Packet packet : guest.received()) {
            assertEquals(VsockGuest.CID, packet.toCid());
            assertTrue(packet.op() >= OP_REQUEST && packet.op() <= VsockHeader.OP_CREDIT_REQUEST);
        }
    }
}
