package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kaval.devices.net.TapBackend;
import org.kaval.devices.virtio.VirtioNet;
import org.kaval.machine.Virtio;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.KernelBoot;

/// The measurements of {@link Iperf}, on the machine whose KVM is used; as root.
public final class IperfRounds {
    private static final Duration LIMIT = Duration.ofMinutes(5);
    private static final String TAP = "bench0";
    private static final long MAC = 0x02_00_00_00_00_01L;
    private static final Path TUN = Path.of("/dev/net/tun");
    private static final Path VHOST = Path.of("/dev/vhost-net");
    private static final Pattern RATE = Pattern.compile("([0-9.]+) Mbits/sec.*receiver");

    private final Path folder;
    private final Map<String, Samples> results = new LinkedHashMap<>();

    private IperfRounds(Path folder) {
        this.folder = folder;
    }

    /// @param args the folder of {@link Iperf}, and how many rounds there are
    public static void main(String[] args) throws Exception {
        new IperfRounds(Path.of(args[0])).run(Integer.parseInt(args[1]));
    }

    private void run(int rounds) throws Exception {
        prepareHost();
        Process server =
                new ProcessBuilder(Iperf.PROGRAM.toString(), "-s")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try {
            for (int round = 0; round <= rounds; round++) { // the first fills caches
                for (boolean vhost : new boolean[] {false, true}) {
                    String suffix = vhost ? ", vhost" : "";
                    note("kaval" + suffix, kaval(vhost), round > 0);
                    note("qemu" + suffix, qemu(vhost), round > 0);
                }
            }
        } finally {
            server.destroy();
        }
        print(rounds);
    }

    private void prepareHost() throws IOException, InterruptedException {
        if (!Files.exists(TUN) || !Files.exists(VHOST)) {
            var modules = new TreeSet<Path>();
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.ko")) {
                files.forEach(modules::add);
            }
            for (Path module : modules) {
                busybox("insmod", module.toString()); // one that is there is there
            }
            Files.createDirectories(TUN.getParent());
            busybox("mknod", TUN.toString(), "c", "10", "200");
            busybox("mknod", VHOST.toString(), "c", "10", "238");
        }
        busybox("ip", "link", "set", "lo", "up");
    }

    private int busybox(String... arguments) throws IOException, InterruptedException {
        var command = new ArrayList<String>(List.of(folder.resolve("busybox").toString()));
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    /// The device is there as long as whoever has made it.
    private void connect() throws IOException, InterruptedException {
        while (busybox("ip", "addr", "add", Iperf.HOST + "/24", "dev", TAP) != 0) {
            Thread.sleep(100);
        }
        busybox("ip", "link", "set", TAP, "up");
    }

    private String kaval(boolean vhost) throws Exception {
        var console = new ConsoleMark(Iperf.MARK);
        TapBackend tap = TapBackend.open(TAP, 1);
        if (vhost) {
            tap.useVhost();
        }
        var device = new VirtioNet("virtio-net0", tap, VirtioNet.Options.of(MAC));
        KernelBoot kernel =
                KernelBoot.of(folder.resolve("vmlinuz"))
                        .initrd(folder.resolve("initrd"))
                        .commandLine(BootFiles.COMMAND_LINE);
        try (Vm vm =
                Vm.builder()
                        .memory((long) BootFiles.MEBIBYTES << 20)
                        .boot(kernel)
                        .device(Virtio.pci(device))
                        .serialOutput(console)
                        .build()) {
            connect();
            vm.start();
            console.await(LIMIT);
            return console.text();
        }
    }

    private String qemu(boolean vhost) throws Exception {
        List<String> devices =
                List.of(
                        "-netdev",
                        "tap,id=net0,ifname=%s,script=no,downscript=no,vhost=%s"
                                .formatted(TAP, vhost ? "on" : "off"),
                        "-device",
                        "virtio-net-pci,netdev=net0,romfile=,mac=02:00:00:00:00:01");
        var console = new StringBuilder();
        new QemuBoot(
                        folder.resolve("vmlinuz"),
                        folder.resolve("initrd"),
                        BootFiles.COMMAND_LINE,
                        "q35",
                        devices,
                        Iperf.MARK)
                .boot(
                        new BootContender.Steps() {
                            @Override
                            public void begins() {
                                try {
                                    connect();
                                } catch (IOException | InterruptedException e) {
                                    throw new IllegalStateException(e);
                                }
                            }
                        },
                        console);
        return console.toString();
    }

    private void note(String who, String console, boolean counts) {
        for (String way : List.of(Iperf.SENT, Iperf.RECEIVED)) {
            String line =
                    console.lines()
                            .filter(each -> each.startsWith(way))
                            .findFirst()
                            .orElseThrow(() -> new IllegalStateException(console));
            Matcher rate = RATE.matcher(line);
            if (!rate.find()) {
                throw new IllegalStateException(who + ": " + line);
            }
            double megabits = Double.parseDouble(rate.group(1));
            System.out.printf("  %s, %s%.0f Mbit/s%n", who, way, megabits);
            if (counts) {
                results.computeIfAbsent(way + who, _ -> new Samples()).add(megabits);
            }
        }
    }

    private void print(int rounds) {
        System.out.printf("%niperf3 through a tap device, median of %d, Mbit/s%n", rounds);
        for (String way : List.of(Iperf.SENT, Iperf.RECEIVED)) {
            for (String suffix : List.of("", ", vhost")) {
                double ours = results.get(way + "kaval" + suffix).median();
                double theirs = results.get(way + "qemu" + suffix).median();
                System.out.printf(
                        "  %-10s kaval %5.0f   qemu %5.0f   %.2f%s%n",
                        way, ours, theirs, ours / theirs, suffix);
            }
        }
    }
}
