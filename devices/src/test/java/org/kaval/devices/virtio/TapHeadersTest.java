package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.devices.virtio.DeviceDriver.DATA;
import static org.kaval.devices.virtio.DeviceDriver.DEFAULT;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.platform.commons.JUnitException;
import org.kaval.devices.net.TapBackend;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.TapFrames.Header;
import org.kaval.testing.NeedsHardwareVirtualization;
import org.opentest4j.AssertionFailedError;

/// Frames whose headers lie, and a tap device of the host's kernel: such a frame is lost, or the
/// kernel finds no harm in it, and the next one arrives.
@NeedsHardwareVirtualization // of which the nested host has tap devices, and network namespaces
class TapHeadersTest {
    /// Long enough that only a hang takes it.
    private static final Duration LIMIT = Duration.ofMinutes(5);

    @TempDir private Path directory;

    /// In a process of its own, which has a network of its own.
    @Test
    void lieCostsNoOtherFrame() throws Exception {
        Path output = directory.resolve("output");
        Process guest =
                new ProcessBuilder(
                                "unshare",
                                "-r",
                                "-n",
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:TieredStopAtLevel=1",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                classPath(),
                                Guest.class.getName())
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start();
        try {
            boolean ended = guest.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS);
            assertTrue(ended, () -> text(output));
            assertEquals(0, guest.exitValue(), () -> text(output));
            assertTrue(text(output).endsWith("all have arrived\n"), () -> text(output));
        } finally {
            guest.destroyForcibly().waitFor();
        }
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e.toString();
        }
    }

    /// A worker in the nested host has its JUnit elsewhere.
    private static String classPath() throws Exception {
        Set<String> all = new LinkedHashSet<>();
        all.add(System.getProperty("java.class.path"));
        for (Class<?> type :
                List.of(Assertions.class, AssertionFailedError.class, JUnitException.class)) {
            var source = type.getProtectionDomain().getCodeSource().getLocation();
            all.add(Path.of(source.toURI()).toString());
        }
        return String.join(":", all);
    }

    /// A guest's network device, and its host.
    static final class Guest {
        private static final int TX = 1;
        private static final int PORT = 7;
        private static final int OTHER_PORT = 9;
        private static final int NONE = 0;
        private static final int TSO4 = 1;
        private static final int UFO = 3;
        private static final int TSO6 = 4;
        private static final int ECN = 0x80;
        private static final int NEEDS_CSUM = 1;
        private static final long FEATURES =
                DEFAULT
                        | VirtioNet.F_CSUM
                        | VirtioNet.F_HOST_TSO4
                        | VirtioNet.F_HOST_TSO6
                        | VirtioNet.F_HOST_ECN
                        | VirtioNet.F_HOST_UFO
                        | VirtioNet.F_MRG_RXBUF;

        private final VirtioNet net;
        private final DeviceDriver driver;
        private final DatagramSocket socket;
        private final Random random = new Random(1);

        private Guest(VirtioNet net, DeviceDriver driver, DatagramSocket socket) {
            this.net = net;
            this.driver = driver;
            this.socket = socket;
        }

        public static void main(String[] arguments) throws Exception {
            TapBackend tap = TapBackend.open("tap0", 1);
            var ip = new ProcessBuilder("ip", "addr", "add", TapFrames.HOST + "/24", "dev", "tap0");
            assertEquals(0, ip.inheritIO().start().waitFor());
            var net = new VirtioNet("net", tap, VirtioNet.Options.of(TapFrames.MAC));
            try (var driver = new DeviceDriver(net);
                    var socket = new DatagramSocket(new InetSocketAddress(TapFrames.HOST, PORT))) {
                socket.setSoTimeout((int) LIMIT.toMillis());
                driver.begin(FEATURES);
                var guest = new Guest(net, driver, socket);
                guest.sendWell();
                guest.lie();
                guest.lieOfFramesThatTheKernelMayTake();
            }
            System.out.println("all have arrived");
        }

        private void lie() throws IOException {
            byte[] udp = TapFrames.udp(OTHER_PORT, new byte[1000]);
            byte[] tcp = TapFrames.tcp(4, 30_000);
            int all = udp.length;
            assertLost(new Header(NONE, TSO4, 54, 0, 0, 0), tcp); // segments of no bytes
            assertLost(new Header(NEEDS_CSUM, TSO4, 54, 0, 34, 16), tcp);
            assertLost(new Header(NONE, NONE, all + Header.SIZE, 0, 0, 0), udp);
            assertLost(new Header(NONE, NONE, 0xffff, 0, 0, 0), udp);
            assertLost(new Header(NEEDS_CSUM, NONE, 0, 0, all - 1, 0), udp);
            assertLost(new Header(NEEDS_CSUM, NONE, 0, 0, 34, all - 34), udp);
            assertLost(new Header(NEEDS_CSUM, NONE, 0, 0, 34, 0xffff), udp);
            assertLost(new Header(NEEDS_CSUM, NONE, 0, 0, 0xffff, 0xffff), udp);
            assertLost(new Header(NEEDS_CSUM, NONE, 0, 0, 0xffff, 0), udp);
            for (int type : new int[] {2, 0x42, 0x7f, ECN, 0xff}) { // there are none of them
                assertLost(new Header(NONE, type, 54, 1448, 0, 0), tcp);
                assertLost(new Header(NEEDS_CSUM, type, 54, 1448, 34, 16), tcp);
            }
            for (int size = 0; size < NetTransmit.ETHERNET_HEADER; size++) {
                assertLost(Header.PLAIN, Arrays.copyOf(udp, size));
                assertLost(
                        new Header(NEEDS_CSUM, TSO4, 54, 1448, 34, 16), Arrays.copyOf(tcp, size));
            }
        }

        /// Kernels differ in what they look at.
        private void lieOfFramesThatTheKernelMayTake() throws IOException {
            byte[] udp = TapFrames.udp(OTHER_PORT, new byte[1000]);
            for (byte[] frame : List.of(udp, TapFrames.tcp(4, 30_000), TapFrames.tcp(6, 30_000))) {
                for (int type : new int[] {TSO4, TSO6, UFO, TSO4 | ECN, UFO | ECN, 5}) {
                    for (int flags : new int[] {NONE, NEEDS_CSUM, 0xff}) {
                        assertTakenOrLost(new Header(flags, type, 54, 1448, 34, 16), frame);
                    }
                    assertTakenOrLost(new Header(NEEDS_CSUM, type, 0, 0xffff, 34, 16), frame);
                    assertTakenOrLost(new Header(NEEDS_CSUM, type, 20, 1, 0, 0), frame);
                }
            }
            for (int size : new int[] {14, 15, 33, 34, 53}) { // less than the headers that it has
                byte[] cut = Arrays.copyOf(udp, size);
                assertTakenOrLost(Header.PLAIN, cut);
                assertTakenOrLost(new Header(NONE, UFO, 0, 8, 0, 0), cut);
                assertTakenOrLost(new Header(NEEDS_CSUM, TSO4, 0, 8, 1, 1), cut);
            }
        }

        private void assertLost(Header header, byte[] frame) throws IOException {
            long before = net.sent().dropped();
            assertTakenOrLost(header, frame);
            assertEquals(before + 1, net.sent().dropped(), header + " of " + frame.length);
        }

        private void assertTakenOrLost(Header header, byte[] frame) throws IOException {
            send(header, frame);
            sendWell();
        }

        private void send(Header header, byte[] frame) {
            long before = net.sent().frames() + net.sent().dropped();
            driver.memory.write(DATA, header.bytes());
            driver.memory.write(DATA + Header.SIZE, frame);
            driver.request(TX, Buffer.toRead(DATA, Header.SIZE + frame.length));
            assertEquals(before + 1, net.sent().frames() + net.sent().dropped());
        }

        /// Sends without lies: as it is, and without a checksum and more than fits into a frame of
        /// the network's.
        private void sendWell() throws IOException {
            byte[] little = data(1 + random.nextInt(1400));
            send(Header.PLAIN, TapFrames.complete(TapFrames.udp(PORT, little)));
            assertArrives(little);
            byte[] much = data(20_000);
            send(new Header(NEEDS_CSUM, UFO, 42, 1448, 34, 6), TapFrames.udp(PORT, much));
            assertArrives(much);
        }

        private byte[] data(int size) {
            byte[] data = new byte[size];
            random.nextBytes(data);
            return data;
        }

        private void assertArrives(byte[] data) throws IOException {
            var packet = new DatagramPacket(new byte[0x1_0000], 0x1_0000);
            socket.receive(packet);
            assertArrayEquals(data, Arrays.copyOf(packet.getData(), packet.getLength()));
        }
    }
}
