package org.kaval.ci.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.kaval.ci.CompiledPayloads;

/// How many frames a guest sends into a tap device, and how many it gets from there: the packaged
/// image beside `qemu-system-x86_64 -M microvm` without vhost, in turns. The guest is `packets.c`,
/// the same code for both, and its loops are in ring 3: it runs on the processor itself with any
/// KVM. What it gets is from `flood.c`; each has a network namespace of its own (`unshare -rn`).
final class NetPackets {
    private static final int ROUNDS = 5;
    private static final int LIMIT_SECONDS = 60;
    private static final String TAP = "tap0";
    private static final Path FOLDER = Path.of("target/bench");

    private static final String[] SIZES = {"64 bytes", "1514 bytes", "64 KiB of TCP"};
    private static final int[] BYTES = {64, 1514, 65_214};

    /// What is counted, as in the guest's source.
    private static final int[] SENT = {1_000_000, 1_000_000, 100_000};

    private static final int[] RECEIVED = {500_000, 500_000, 50_000};

    /// @param rates frames a second: what is sent, and then what is received, by size
    private record Contender(String name, List<String> command, List<Samples> rates) {
        Contender(String name, List<String> command) {
            this(name, command, Stream.generate(Samples::new).limit(2L * SIZES.length).toList());
        }
    }

    private NetPackets() {}

    static void run() throws Exception {
        new CompiledPayloads().make(Path.of(""));
        Path payload = CompiledPayloads.file("packets");
        Path flood = Files.createDirectories(FOLDER).resolve("flood").toAbsolutePath();
        DiskReads.tool("gcc", "-O2", "-o", flood.toString(), "src/test/bench/flood.c");
        var contenders =
                List.of(
                        new Contender("kaval run", inNamespace(flood, kaval(payload))),
                        new Contender("qemu", inNamespace(flood, qemu(DiskReads.rom(payload)))));
        for (int i = 0; i < ROUNDS; i++) {
            for (Contender contender : contenders) {
                measure(contender);
            }
        }
        report(contenders);
    }

    private static List<String> inNamespace(Path flood, List<String> command) {
        String script =
                "ip tuntap add dev %s mode tap && ip link set %s up && exec \"$@\""
                        .formatted(TAP, TAP);
        var all = new ArrayList<>(List.of("unshare", "-rn", "sh", "-c", script, "sh"));
        all.addAll(List.of(flood.toString(), TAP));
        all.addAll(command);
        return all;
    }

    private static List<String> kaval(Path payload) {
        return List.of(
                Path.of("../cli/target/kaval/bin/kaval").toAbsolutePath().toString(),
                "run",
                "--payload",
                payload.toString(),
                "--mode",
                "LONG64",
                "--memory",
                "128M",
                "--mmio",
                "--net",
                "tap=" + TAP);
    }

    private static List<String> qemu(Path rom) {
        var command = new ArrayList<>(List.of("qemu-system-x86_64", "-M", "microvm,isa-serial=on"));
        command.addAll(List.of("-accel", "kvm", "-m", "128", "-nodefaults", "-no-user-config"));
        command.addAll(List.of("-display", "none", "-serial", "stdio", "-bios", rom.toString()));
        command.addAll(List.of("-device", "isa-debug-exit,iobase=0xf4"));
        command.addAll(List.of("-global", "virtio-mmio.force-legacy=false"));
        command.addAll(
                List.of("-netdev", "tap,id=net,ifname=%s,script=no,downscript=no".formatted(TAP)));
        command.addAll(List.of("-device", "virtio-net-device,netdev=net"));
        return command;
    }

    private static void measure(Contender contender) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(contender.command)
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        Thread limit =
                Thread.ofVirtual()
                        .start(() -> {
                            try {
                                if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                                    process.destroyForcibly();
                                }
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            }
                        });
        try (InputStream out = process.getInputStream();
                OutputStream sizes = process.getOutputStream()) {
            for (int i = 0; i < SIZES.length; i++) {
                contender.rates.get(i).add(SENT[i] / seconds(out));
            }
            for (int i = 0; i < SIZES.length; i++) {
                expect(out, 'r');
                sizes.write((BYTES[i] + "\n").getBytes(StandardCharsets.US_ASCII));
                sizes.flush();
                contender.rates.get(SIZES.length + i).add(RECEIVED[i] / seconds(out));
            }
        } finally {
            process.waitFor(10, TimeUnit.SECONDS);
            process.destroyForcibly().waitFor();
            limit.interrupt();
        }
    }

    private static double seconds(InputStream out) throws IOException {
        expect(out, 's');
        long before = System.nanoTime();
        expect(out, 't');
        return (System.nanoTime() - before) / 1e9;
    }

    private static void expect(InputStream out, char mark) throws IOException {
        int read = out.read();
        if (read != mark) {
            throw new IOException("the guest wrote %d instead of %c".formatted(read, mark));
        }
    }

    private static void report(List<Contender> contenders) {
        System.out.printf("%nframes a second, medians of %d rounds%n%-12s", ROUNDS, "");
        for (String direction : List.of("sent", "received")) {
            for (String size : SIZES) {
                System.out.printf("%24s", direction + ", " + size);
            }
        }
        System.out.println();
        for (Contender contender : contenders) {
            System.out.printf("%-12s", contender.name);
            contender.rates.forEach(rate -> System.out.printf("%24.0f", rate.median()));
            System.out.println();
        }
        System.out.printf("%-12s", "ratio");
        for (int i = 0; i < 2 * SIZES.length; i++) {
            System.out.printf(
                    "%24.2f",
                    contenders.getFirst().rates.get(i).median()
                            / contenders.getLast().rates.get(i).median());
        }
        System.out.println();
    }
}
