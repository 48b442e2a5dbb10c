package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;

/// How much does iperf3 send and receive in Debian's kernel, through a tap device: Kaval beside
/// `qemu-system-x86_64 -M q35`, in turns, each with its own threads and with vhost-net?
///
/// In the nested host, unless this one has VT-x or AMD-V.
final class Iperf {
    static final int ROUNDS = 3;
    static final Path PROGRAM = Path.of("/usr/bin/iperf3");

    /// What the guest says last.
    static final String MARK = "all is measured";

    static final String HOST = "10.9.0.1";

    /// Before what iperf3 says of each way.
    static final String SENT = "sent: ";

    static final String RECEIVED = "received: ";

    private static final int SECONDS = 4;

    /// The first seconds are left out: TCP finds its window, and the JIT compiler what is hot.
    private static final int WARM_UP_SECONDS = 2;

    private static final String INIT =
            """
            export PATH=/bin:/usr/bin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            . /lib/modules/insert
            mkdir -p /tmp
            ip link set lo up
            ip addr add 10.9.0.2/24 dev eth0
            ip link set eth0 up
            until ping -c 1 -W 1 %1$s >/dev/null; do :; done
            measure() {
                iperf3 -c %1$s -f m -t %2$d -O %3$d $1 2>&1 | grep -E 'receiver|error'
            }
            echo "%4$s$(measure)"
            echo "%5$s$(measure -R)"
            echo "%6$s"
            sleep 1000
            """
                    .formatted(HOST, SECONDS, WARM_UP_SECONDS, SENT, RECEIVED, MARK);

    private Iperf() {}

    static void run(int rounds) throws Exception {
        Path folder = Files.createDirectories(Path.of("target/bench/iperf").toAbsolutePath());
        make(folder);
        var files = new ArrayList<Path>(List.of(folder));
        files.addAll(HardwareJvm.withLibraries(PROGRAM));
        HardwareJvm.run(
                IperfRounds.class,
                List.of(),
                files,
                List.of(folder.toString(), Integer.toString(rounds)),
                System.out);
    }

    /// The guest, and what its host needs.
    private static void make(Path folder) throws IOException, InterruptedException {
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel kernel = DebianKernel.cloud(packages);
        Path busybox = packages.unpack("busybox-static").resolve("bin/busybox");
        copy(kernel.image(), folder.resolve("vmlinuz"));
        copy(busybox, folder.resolve("busybox"));
        List<Path> modules = kernel.modules("vhost_net");
        for (int i = 0; i < modules.size(); i++) {
            copy(modules.get(i), folder.resolve("%02d.ko".formatted(i)));
        }
        Initramfs initramfs =
                Initramfs.busybox(busybox)
                        .modules(kernel.modules("virtio_pci", "virtio_net"))
                        .init(INIT);
        for (Path file : HardwareJvm.withLibraries(PROGRAM)) {
            initramfs.file(file.toString().substring(1), 0755, file);
        }
        initramfs.writeTo(folder.resolve("initrd"));
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.copy(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
}
