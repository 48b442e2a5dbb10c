package org.kaval.ci.bench;

import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// `qemu-system-x86_64` with KVM and as little else as its machine has.
///
/// @param machine `q35`, `microvm`
/// @param devices options for more
/// @param mark with what its console's output is complete
record QemuBoot(
        Path kernel,
        Path initrd,
        String commandLine,
        String machine,
        List<String> devices,
        String mark)
        implements BootContender {
    static final String PROGRAM = "/usr/bin/qemu-system-x86_64";

    private static final long CONNECT_NANOS = 60_000_000_000L;

    /// One for comparison.
    static QemuBoot of(BootFiles files, String machine) {
        return new QemuBoot(
                files.kernel(),
                files.initrd(),
                BootFiles.COMMAND_LINE,
                machine,
                List.of(),
                BootFiles.MARK);
    }

    @Override
    public String name() {
        return "qemu -M " + machine;
    }

    @Override
    public double boot(Steps steps) throws Exception {
        return boot(steps, new StringBuilder());
    }

    /// QEMU is started with its vCPUs stopped; they are let go by its monitor.
    ///
    /// @param console gets what the guest writes, until the mark
    double boot(Steps steps, StringBuilder console) throws Exception {
        Path socket = Files.createTempDirectory("kaval-bench-").resolve("monitor");
        Process process = new ProcessBuilder(command(socket)).redirectErrorStream(true).start();
        try (SocketChannel monitor = connect(socket)) {
            execute(monitor, "qmp_capabilities");
            steps.begins();
            long begin = System.nanoTime();
            execute(monitor, "cont");
            awaitMark(process.getInputStream(), console);
            double millis = (System.nanoTime() - begin) / 1e6;
            steps.isAtInit();
            return millis;
        } finally {
            process.destroyForcibly().waitFor();
            Files.deleteIfExists(socket);
            Files.deleteIfExists(socket.getParent());
        }
    }

    private List<String> command(Path socket) {
        var command = new ArrayList<String>(machine(socket));
        command.addAll(devices);
        return command;
    }

    private List<String> machine(Path socket) {
        return List.of(
                PROGRAM,
                "-M",
                machine,
                "-accel",
                "kvm",
                "-cpu",
                "host",
                "-m",
                Integer.toString(BootFiles.MEBIBYTES),
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
                "-S",
                "-serial",
                "stdio",
                "-qmp",
                "unix:" + socket + ",server=on,wait=off",
                "-kernel",
                kernel.toString(),
                "-initrd",
                initrd.toString(),
                "-append",
                commandLine);
    }

    private static SocketChannel connect(Path socket) throws IOException, InterruptedException {
        long end = System.nanoTime() + CONNECT_NANOS;
        while (true) {
            SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                channel.connect(UnixDomainSocketAddress.of(socket));
                return channel;
            } catch (IOException e) { // it does not listen yet
                channel.close();
                if (System.nanoTime() > end) {
                    throw e;
                }
                Thread.sleep(10);
            }
        }
    }

    /// Its answer is not waited for: it comes with others', and the guest's console tells.
    private static void execute(SocketChannel monitor, String command) throws IOException {
        String request = "{\"execute\":\"%s\"}\n".formatted(command);
        monitor.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
    }

    private void awaitMark(InputStream console, StringBuilder text) throws IOException {
        while (text.indexOf(mark, text.length() - mark.length()) < 0) {
            int b = console.read();
            if (b < 0) {
                throw new IOException("QEMU has ended:\n" + text);
            }
            text.append((char) b);
        }
    }
}
