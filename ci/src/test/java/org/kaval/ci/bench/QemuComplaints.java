package org.kaval.ci.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;

/// Notes what Debian's kernels complain of under `qemu-system-x86_64 -M q35`, where Kaval's tests
/// boot them: `machine/src/test/guest/complaints-under-qemu`, with which those tests compare.
public final class QemuComplaints {
    private static final Path SOURCES = Path.of("../machine/src/test/guest");
    private static final String COMPLAINT = "complaint: ";

    private QemuComplaints() {}

    static void run() throws Exception {
        Path folder = Path.of("target/bench/complaints").toAbsolutePath();
        String releases = make(folder);
        var output = new ByteArrayOutputStream();
        HardwareJvm.run(
                QemuComplaints.class,
                HardwareJvm.SHORT,
                List.of(folder),
                List.of(folder.toString()),
                output);
        var lines = new ArrayList<String>();
        lines.add(
                "# Made by ./kaval bench complaints: Debian's %s under QEMU.".formatted(releases));
        output.toString(StandardCharsets.UTF_8).lines().distinct().forEach(lines::add);
        Files.write(SOURCES.resolve("complaints-under-qemu"), lines);
        lines.forEach(System.out::println);
    }

    /// Kernels with the initramfs of the tests.
    private static String make(Path folder) throws IOException, InterruptedException {
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel cloud = DebianKernel.cloud(packages);
        DebianKernel standard = DebianKernel.standard(packages);
        for (DebianKernel kernel : List.of(cloud, standard)) {
            Path own = Files.createDirectories(folder.resolve(kernel.release()));
            Files.copy(kernel.image(), own.resolve("vmlinuz"), StandardCopyOption.REPLACE_EXISTING);
            Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                    .modules(kernel.modules("button", "evdev"))
                    .init(Files.readString(SOURCES.resolve("init")))
                    .writeTo(own.resolve("initrd"));
        }
        return cloud.release() + " and " + standard.release();
    }

    /// @param args the folder that {@link #make} has filled
    public static void main(String[] args) throws Exception {
        try (Stream<Path> kernels = Files.list(Path.of(args[0]))) {
            for (Path kernel : kernels.sorted().toList()) {
                var console = new StringBuilder();
                new QemuBoot(
                                kernel.resolve("vmlinuz"),
                                kernel.resolve("initrd"),
                                BootFiles.COMMAND_LINE,
                                "q35",
                                List.of(),
                                "\nend: ")
                        .boot(new BootContender.Steps() {}, console);
                console.toString()
                        .lines()
                        .map(String::strip)
                        .filter(line -> line.startsWith(COMPLAINT))
                        .map(line -> line.substring(COMPLAINT.length()))
                        .forEach(System.out::println);
            }
        }
    }
}
