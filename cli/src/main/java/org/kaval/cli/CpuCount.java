package org.kaval.cli;

import java.util.HashMap;
import java.util.Map;
import org.kaval.machine.ConfigException;
import org.kaval.machine.VmBuilder;

/// The value of `--cpus`: a number, or `sockets=1,cores=2,threads=2`, in which each is 1 unless
/// given.
record CpuCount(int sockets, int cores, int threads) {
    static CpuCount parse(String text) {
        if (!text.contains("=")) {
            return new CpuCount(1, number(text), 1);
        }
        Map<String, Integer> given = new HashMap<>();
        for (String part : text.split(",", -1)) {
            int equals = part.indexOf('=');
            String key = equals < 0 ? part : part.substring(0, equals);
            boolean known = key.equals("sockets") || key.equals("cores") || key.equals("threads");
            if (equals < 0 || !known) {
                throw new ConfigException(
                        "cpus", "'%s' is none of sockets=N, cores=N, threads=N".formatted(part));
            }
            if (given.put(key, number(part.substring(equals + 1))) != null) {
                throw new ConfigException("cpus", "'%s' is given twice".formatted(key));
            }
        }
        return new CpuCount(
                given.getOrDefault("sockets", 1),
                given.getOrDefault("cores", 1),
                given.getOrDefault("threads", 1));
    }

    /// How many vCPUs there are.
    int total() {
        return sockets * cores * threads;
    }

    void applyTo(VmBuilder builder) {
        builder.cpus(sockets, cores, threads);
    }

    private static int number(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new ConfigException("cpus", "'%s' is not a number".formatted(text));
        }
    }
}
