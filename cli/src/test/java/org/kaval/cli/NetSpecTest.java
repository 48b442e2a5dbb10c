package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.RateLimit;
import org.kaval.devices.net.Passt;
import org.kaval.machine.ConfigException;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class NetSpecTest {
    @Test
    void userHasALocalAddressAndNoLimits() {
        NetSpec net = NetSpec.parse("user", 0);

        assertEquals(NetSpec.Kind.USER, net.kind());
        assertEquals(0x02, net.mac() >>> 40);
        assertEquals(1, net.queues());
        assertEquals(0, net.mtu());
        assertEquals(RateLimit.Rate.UNLIMITED, net.rate());
    }

    @Test
    void everyKeyIsHeeded() {
        NetSpec net =
                NetSpec.parse(
                        "tap=tap0,mac=02:12:34:56:78:9A,queues=4,mtu=9000,rate=2M,frames=1000,"
                                + "burst=0.5,pcap=a,,b",
                        1);

        assertEquals(NetSpec.Kind.TAP, net.kind());
        assertEquals("tap0", net.target());
        assertEquals(0x0212_3456_789aL, net.mac());
        assertEquals(4, net.queues());
        assertEquals(9000, net.mtu());
        assertEquals(new RateLimit.Rate(2 << 20, 1 << 20), net.rate());
        assertEquals(new RateLimit.Rate(1000, 500), net.frames());
        assertEquals("a,b", net.pcap());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    slirp                     | net[0]
                    user=x                    | net[0]
                    tap                       | net[0]
                    tap=                      | net[0]
                    tap=a-name-too-long-for-it | net[0]
                    tap=kaval%d               | net[0]
                    user,speed=1              | net[0]
                    user,mac=02:00            | net[0].mac
                    user,mac=01:00:00:00:00:01 | net[0].mac
                    user,mac=00:00:00:00:00:00 | net[0].mac
                    user,queues=2             | net[0].queues
                    tap=a,queues=0            | net[0].queues
                    user,mtu=67               | net[0].mtu
                    user,mtu=65536            | net[0].mtu
                    user,rate=0               | net[0].rate
                    user,burst=1              | net[0].burst
                    user,mtu=1500,mtu=1500    | net[0].mtu
                    tap=a,vhost=yes           | net[0].vhost
                    user,vhost=on             | net[0].vhost
                    tap=a,vhost=on,rate=1M    | net[0].vhost
                    tap=a,vhost=on,frames=9   | net[0].vhost
                    bridge=a,vhost=on,pcap=b  | net[0].vhost
                    """)
    void nonsenseIsRefusedWithItsPlace(String text, String place) {
        ConfigException refused = assertThrows(ConfigException.class, () -> NetSpec.parse(text, 0));

        assertTrue(
                String.valueOf(refused.getMessage()).startsWith(place + ":"),
                () -> refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "tap=a, AUTO",
        "'bridge=a,vhost=on', ON",
        "'tap=a,vhost=off', OFF",
        "'tap=a,vhost=auto,pcap=b', OFF",
        "'tap=a,rate=1M', OFF",
        "user, OFF",
        "socket=a, OFF"
    })
    void kernelMovesFramesIfItCan(String text, NetSpec.Vhost vhost) {
        assertEquals(vhost, NetSpec.parse(text, 0).vhost());
    }

    @Test
    void whatIsSavedHasTheAddressThatWasDrawn() {
        var net = new NetOptions();
        new CommandLine(CommandSpec.create().addMixin("net", net.mixin()))
                .parseArgs("--net", "user", "--net", "tap=t,mac=02:00:00:00:00:01");
        long drawn = net.parse().specs().getFirst().mac();

        List<String> saved =
                net.withAddresses(
                        List.of("--memory=1G", "--net=user", "--net=tap=t,mac=02:00:00:00:00:01"));

        assertEquals("--memory=1G", saved.getFirst());
        String first = saved.get(1).substring("--net=".length());
        assertEquals(drawn, NetSpec.parse(first, 0).mac());
        assertEquals("--net=tap=t,mac=02:00:00:00:00:01", saved.get(2));
    }

    @Test
    void whatIsSavedHasTheNetworkThatPortsImply() {
        var net = new NetOptions();
        new CommandLine(CommandSpec.create().addMixin("net", net.mixin()))
                .parseArgs("--publish", "8080:80");
        long drawn = net.parse().specs().getFirst().mac();

        List<String> saved = net.withAddresses(List.of("--publish=8080:80"));

        assertEquals(2, saved.size());
        assertEquals(drawn, NetSpec.parse(saved.get(1).substring("--net=".length()), 0).mac());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    user,mtu=1400     | user,mtu=1400
                    socket=/a/b,,c    | socket=/a/b,,c
                    socket=b,pcap=/d  | socket=%s/b,pcap=/d
                    tap=b,pcap=d      | tap=b,pcap=%s/d
                    """)
    void pathsThatAreSavedAreAbsolute(String text, String saved) {
        assertEquals(
                saved.formatted(Path.of("").toAbsolutePath()), NetSpec.withAbsolutePaths(text));
    }

    @ParameterizedTest
    @CsvSource({
        "8080:80, '', 8080, 80, false",
        "127.0.0.1:53:5353/udp, 127.0.0.1, 53, 5353, true",
        "[::1]:1:2/tcp, ::1, 1, 2, false",
    })
    void portsArePublished(String text, String address, int host, int guest, boolean udp) {
        assertEquals(new Passt.Port(address, host, guest, udp), PublishedPort.parse(text).port());
    }

    @ParameterizedTest
    @CsvSource({"80", "80:", "0:80", "80:65536", "80:80/sctp", "a:80:80", "''"})
    void nonsenseIsNotPublished(String text) {
        assertThrows(ConfigException.class, () -> PublishedPort.parse(text));
    }
}
