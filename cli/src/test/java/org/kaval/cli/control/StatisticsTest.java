package org.kaval.cli.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.kaval.cli.control.Controlled.DiskStatistics;
import org.kaval.devices.net.NetTraffic;

/// Statistics of a machine with a disk and a network device.
class StatisticsTest {
    private static final NetTraffic TRAFFIC =
            new NetTraffic(new NetTraffic.Count(1, 2, 3), new NetTraffic.Count(4, 5, 6));

    private static Statistics statistics() throws Exception {
        Map<String, Map<String, ?>> answers =
                Map.of(
                        "look", Map.of("IO", 7L),
                        "disks", Map.of("a \"disk\"", new DiskStatistics(0, 8, 9, 10, 11)),
                        "networks", Map.of("net0", TRAFFIC));
        return new Statistics(
                (Controlled)
                        Proxy.newProxyInstance(
                                Controlled.class.getClassLoader(),
                                new Class<?>[] {Controlled.class},
                                (_, method, _) -> answers.get(method.getName())));
    }

    @Test
    void networksAreToldByTheirNames() throws Exception {
        assertEquals(
                Map.of(
                        "net0",
                        Map.of(
                                "receivedFrames", 1L,
                                "receivedBytes", 2L,
                                "receivedDropped", 3L,
                                "sentFrames", 4L,
                                "sentBytes", 5L,
                                "sentDropped", 6L)),
                statistics().toMap().get("networks"));
    }

    @Test
    void prometheusCanReadThem() throws Exception {
        List<String> lines = statistics().toPrometheus().lines().toList();

        assertTrue(
                lines.containsAll(
                        List.of(
                                "kaval_exits_total{reason=\"IO\"} 7",
                                "kaval_disk_bytes_total{disk=\"a \\\"disk\\\"\",way=\"write\"} 11",
                                "# TYPE kaval_network_frames_total counter",
                                "kaval_network_frames_total{network=\"net0\",way=\"receive\"} 1",
                                "kaval_network_bytes_total{network=\"net0\",way=\"send\"} 5",
                                "kaval_network_dropped_frames_total{network=\"net0\",way=\"send\"} 6")),
                lines.toString());
    }
}
