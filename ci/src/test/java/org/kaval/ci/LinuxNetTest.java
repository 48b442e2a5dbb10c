package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.testing.Effort;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// `kaval run --net` with two guests of Debian's unmodified cloud kernel, which fetch from each
/// other and from their host, over a bridge, tap devices with vhost-net and without, a cable
/// between them, and passt, all as an ordinary user: `src/test/net/host` says how, and
/// `src/test/net/init` what the guests do.
@NeedsHardwareVirtualization
@Timeout(value = 120, unit = TimeUnit.MINUTES) // with full effort where all is emulated
@NeedsFiles(
        value = {"../cli/target/kaval", LinuxNetTest.FOLDER},
        madeBy = LinuxNetTest.Guests.class)
class LinuxNetTest {
    static final String FOLDER = "target/guests/net";

    /// A kernel, an initramfs, and the programs that their host needs.
    static final class Guests implements FileMaker {
        private static final String SOURCES = "src/test/net";
        private static final Path PASST = Path.of("/usr/bin/passt");
        private static final String BEGIN =
                """
                export PATH=/bin:/sbin:/usr/bin:/usr/sbin
                mount -t proc proc /proc
                mount -t sysfs sysfs /sys
                mount -t devtmpfs dev /dev
                echo 3 >/proc/sys/kernel/printk
                . /lib/modules/insert
                """;

        @Override
        public void make(Path module) throws IOException, InterruptedException {
            Path folder = Files.createDirectories(module.resolve(FOLDER));
            Path sources = module.resolve(SOURCES);
            var packages = new DebianPackages(ArtifactCache.ofUser());
            DebianKernel kernel = DebianKernel.cloud(packages);
            Path busybox = packages.unpack("busybox-static").resolve("bin/busybox");
            copy(kernel.image(), folder.resolve("vmlinuz"));
            copy(busybox, folder.resolve("busybox"));
            copy(sources.resolve("host"), folder.resolve("host"));
            if (!Files.exists(PASST)) {
                throw new IOException(PASST + " is missing: apt install passt");
            }
            copy(PASST, Files.createDirectories(folder.resolve("bin")).resolve("passt"));
            Path modules = Files.createDirectories(folder.resolve("modules"));
            List<Path> needed = kernel.modules("bridge", "vhost_net");
            for (int i = 0; i < needed.size(); i++) {
                copy(needed.get(i), modules.resolve("%02d.ko".formatted(i)));
            }
            Path net = folder.resolve("net");
            compile(sources.resolve("net.c"), net);
            Initramfs.busybox(busybox)
                    .modules(kernel.modules("virtio_pci", "virtio_net"))
                    .file("bin/net", 0755, net)
                    .init(BEGIN + Files.readString(sources.resolve("init")))
                    .writeTo(folder.resolve("initrd"));
        }

        private static void copy(Path from, Path to) throws IOException {
            Files.copy(from, to, StandardCopyOption.REPLACE_EXISTING);
        }

        private static void compile(Path source, Path program)
                throws IOException, InterruptedException {
            Processes.Result compiled =
                    Processes.run(
                            "gcc",
                            "-Wall",
                            "-Werror",
                            "-O2",
                            "-static",
                            "-o",
                            program.toString(),
                            source.toString());
            if (compiled.status() != 0) {
                throw new IOException("gcc failed on " + source + ":\n" + compiled.err());
            }
        }
    }

    /// Each transfer has the whole time that one may take.
    private static void awaitExchange(RunningCommand host, String what) throws Exception {
        host.awaitOutput(": %s, to the guest".formatted(what));
        host.awaitOutput(": %s, from the guest".formatted(what));
    }

    @Test
    void whatGuestsAndHostSendEachOtherArrives() throws Exception {
        Path folder = Path.of(System.getProperty("basedir", ""), FOLDER).toAbsolutePath();
        // by a path that an ordinary user can go
        Path work =
                Files.createDirectory(Path.of("/tmp/kaval-net-" + ProcessHandle.current().pid()));
        try (RunningCommand host =
                RunningCommand.start(
                        new File("/dev/null"),
                        List.of(
                                folder.resolve("busybox").toString(),
                                "sh",
                                folder.resolve("host").toString(),
                                folder.toString(),
                                Image.kaval(),
                                work.toString(),
                                Integer.toString(Effort.amount(1024, 1))))) {
            host.awaitOutput("machines have started");
            host.awaitOutput(": 4 queues"); // the guests are there
            host.awaitOutput(": large frames are sent");
            for (String feature :
                    List.of("tx-checksum-ip-generic", "tx-tcp-segmentation", "rx-gro-hw")) {
                awaitExchange(host, "bridge, %s off".formatted(feature));
            }
            awaitExchange(host, "tap");
            awaitExchange(host, "user");
            host.awaitOutput(": cable, to b");
            host.awaitOutput(": end of a");
            host.awaitOutput(": cable, to another a");
            host.awaitOutput(": cable, from another a");
            int status = host.awaitExit();
            String output = host.output() + host.error();
            List<String> wrong = output.lines().filter(line -> line.startsWith("wrong: ")).toList();
            assertEquals(List.of(), wrong, output);
            assertEquals(0, status, output);
        }
    }
}
