package org.kaval.ci.bench;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kaval.devices.Device;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.Vm;
import org.kaval.memory.GuestMemory;
import org.kaval.nested.NestedHost;
import org.kaval.vcpu.Vcpu;
import org.tukaani.xz.XZInputStream;

/// Runs a program of Kaval's benchmarks where KVM runs unmodified systems: in a JVM of its own, in
/// place or in the nested host, in which QEMU is, too.
final class HardwareJvm {
    /// For what is over soon, and not worth the time of the better compiler.
    static final List<String> SHORT = List.of("-XX:TieredStopAtLevel=1");

    private static final Duration LIMIT = Duration.ofMinutes(50);
    private static final Pattern LIBRARY = Pattern.compile(".*=> (/\\S+) .*|\\s*(/\\S+) .*");

    private HardwareJvm() {}

    /// @param options of the JVM
    /// @param files which it reads, at the same paths there
    /// @param out gets its output
    static void run(
            Class<?> program,
            List<String> options,
            List<Path> files,
            List<String> arguments,
            OutputStream out)
            throws Exception {
        List<Path> classPath = classPath();
        List<String> command = command(program, options, classPath, arguments);
        int status =
                KvmKind.detect().isHardware()
                        ? here(command, out)
                        : nested(command, classPath, files, out);
        if (status != 0) {
            throw new IOException(program.getName() + " has ended with status " + status);
        }
    }

    private static int here(List<String> command, OutputStream out)
            throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        process.getInputStream().transferTo(out);
        return process.waitFor();
    }

    private static int nested(
            List<String> command, List<Path> classPath, List<Path> files, OutputStream out)
            throws IOException, InterruptedException {
        try (NestedHost host = NestedHost.start(new NestedHost.Settings().withTimeLimit(LIMIT))) {
            var needed = new ArrayList<Path>(files);
            needed.addAll(qemu());
            needed.addAll(classPath);
            host.copyIn(needed);
            return host.exec(command, out, System.err).await(LIMIT);
        }
    }

    private static List<String> command(
            Class<?> program, List<String> options, List<Path> classPath, List<String> arguments) {
        var command =
                new ArrayList<String>(
                        List.of(
                                System.getProperty("java.home") + "/bin/java",
                                "-XX:+UseSerialGC",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                String.join(":", classPath.stream().map(Path::toString).toList())));
        command.addAll(options);
        command.add(program.getName());
        command.addAll(arguments);
        return command;
    }

    /// Where the classes of these programs come from, and of what they use.
    private static List<Path> classPath() throws URISyntaxException {
        var sources = new LinkedHashSet<Path>();
        for (Class<?> type :
                List.of(
                        HardwareJvm.class,
                        Vm.class,
                        Vcpu.class,
                        Device.class,
                        GuestMemory.class,
                        KvmKind.class,
                        XZInputStream.class)) {
            sources.add(
                    Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI())
                            .toAbsolutePath());
        }
        return List.copyOf(sources);
    }

    /// QEMU, its firmware, and the libraries that it is linked to.
    private static List<Path> qemu() throws IOException {
        var files = new ArrayList<Path>(withLibraries(Path.of(QemuBoot.PROGRAM)));
        files.add(Path.of("/usr/share/seabios"));
        for (String rom :
                List.of("bios-microvm.bin", "kvmvapic.bin", "linuxboot_dma.bin", "pvh.bin")) {
            files.add(Path.of("/usr/share/qemu", rom));
        }
        return files;
    }

    /// A program, and the libraries that it is linked to, as ldd(1) tells.
    static List<Path> withLibraries(Path program) throws IOException {
        Process ldd =
                new ProcessBuilder("ldd", program.toString()).redirectErrorStream(true).start();
        ldd.getOutputStream().close();
        var files = new ArrayList<Path>();
        files.add(program);
        new String(ldd.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                .lines()
                .map(LIBRARY::matcher)
                .filter(Matcher::matches)
                .map(m -> Path.of(m.group(1) != null ? m.group(1) : m.group(2)))
                .forEach(files::add);
        return files;
    }
}
