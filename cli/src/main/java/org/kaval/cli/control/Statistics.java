package org.kaval.cli.control;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToLongFunction;
import org.kaval.cli.control.Controlled.ConflictException;
import org.kaval.cli.control.Controlled.DiskStatistics;
import org.kaval.devices.net.NetTraffic;
import org.kaval.machine.Vm;

/// What a machine has used so far, which only grows but for memory: rates are for whoever asks
/// twice.
final class Statistics {
    private static final long KIBIBYTE = 1024;

    private final Duration processorTime;
    private final long residentBytes;
    private final Map<String, Long> exits;
    private final Map<String, DiskStatistics> disks;
    private final Map<String, NetTraffic> networks;

    Statistics(Controlled vm) throws IOException, InterruptedException, ConflictException {
        processorTime = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
        residentBytes = resident();
        exits = vm.look(Vm::exitCounts);
        disks = vm.disks();
        networks = vm.networks();
    }

    /// Of this process, the guest's RAM that it has touched among it (proc(5)).
    private static long resident() throws IOException {
        try (var lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmRSS:"))
                            .map(line -> line.replaceAll("[^0-9]", ""))
                            .mapToLong(Long::parseLong)
                            .findFirst()
                            .orElse(0)
                    * KIBIBYTE;
        }
    }

    Map<String, Object> toMap() {
        var all = new LinkedHashMap<String, Object>();
        all.put("processorSeconds", processorTime.toNanos() / 1e9);
        all.put("residentBytes", residentBytes);
        all.put("exits", exits);
        var byName = new LinkedHashMap<String, Object>();
        disks.forEach((name, disk) -> {
            var one = new LinkedHashMap<String, Object>();
            one.put("size", disk.size());
            one.put("reads", disk.reads());
            one.put("readBytes", disk.readBytes());
            one.put("writes", disk.writes());
            one.put("writtenBytes", disk.writtenBytes());
            byName.put(name, one);
        });
        all.put("disks", byName);
        all.put("networks", networksToMap());
        return all;
    }

    private Map<String, Object> networksToMap() {
        var byName = new LinkedHashMap<String, Object>();
        networks.forEach((name, network) -> {
            var one = new LinkedHashMap<String, Object>();
            one.put("receivedFrames", network.received().frames());
            one.put("receivedBytes", network.received().bytes());
            one.put("receivedDropped", network.received().dropped());
            one.put("sentFrames", network.sent().frames());
            one.put("sentBytes", network.sent().bytes());
            one.put("sentDropped", network.sent().dropped());
            byName.put(name, one);
        });
        return byName;
    }

    /// In the text format that Prometheus reads.
    String toPrometheus() {
        var text = new StringBuilder();
        metric(text, "kaval_processor_seconds_total", "counter", "processor time of the process");
        text.append("kaval_processor_seconds_total ")
                .append(String.format(Locale.ROOT, "%.3f", processorTime.toNanos() / 1e9))
                .append('\n');
        metric(text, "kaval_resident_bytes", "gauge", "memory of the process, the guest's with it");
        text.append("kaval_resident_bytes ").append(residentBytes).append('\n');
        metric(text, "kaval_exits_total", "counter", "exits of the guest to user space");
        exits.forEach((reason, count) ->
                text.append("kaval_exits_total{reason=\"%s\"} %d%n".formatted(reason, count)));
        metric(text, "kaval_disk_requests_total", "counter", "requests to a disk");
        disks.forEach((name, disk) -> {
            line(text, "kaval_disk_requests_total", "disk", name, "read", disk.reads());
            line(text, "kaval_disk_requests_total", "disk", name, "write", disk.writes());
        });
        metric(text, "kaval_disk_bytes_total", "counter", "bytes from and to a disk");
        disks.forEach((name, disk) -> {
            line(text, "kaval_disk_bytes_total", "disk", name, "read", disk.readBytes());
            line(text, "kaval_disk_bytes_total", "disk", name, "write", disk.writtenBytes());
        });
        networksToPrometheus(text);
        return text.toString();
    }

    private void networksToPrometheus(StringBuilder text) {
        String what = "of a network device, as its guest sees them";
        network(text, "frames", "frames " + what, NetTraffic.Count::frames);
        network(text, "bytes", "bytes " + what, NetTraffic.Count::bytes);
        network(text, "dropped_frames", "lost frames " + what, NetTraffic.Count::dropped);
    }

    private void network(
            StringBuilder text, String unit, String help, ToLongFunction<NetTraffic.Count> count) {
        String metric = "kaval_network_%s_total".formatted(unit);
        metric(text, metric, "counter", help);
        networks.forEach((name, network) -> {
            long received = count.applyAsLong(network.received());
            line(text, metric, "network", name, "receive", received);
            line(text, metric, "network", name, "send", count.applyAsLong(network.sent()));
        });
    }

    private static void metric(StringBuilder text, String name, String type, String help) {
        text.append("# HELP %s %s%n# TYPE %s %s%n".formatted(name, help, name, type));
    }

    private static void line(
            StringBuilder text, String name, String kind, String device, String way, long value) {
        text.append(
                "%s{%s=\"%s\",way=\"%s\"} %d%n"
                        .formatted(
                                name,
                                kind,
                                device.replace("\\", "\\\\").replace("\"", "\\\""),
                                way,
                                value));
    }
}
