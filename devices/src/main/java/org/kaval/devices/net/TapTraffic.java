package org.kaval.devices.net;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// What the host's kernel counts of a tap device, whoever moves its frames: `/proc/net/dev`, of
/// this process's network namespace, as `/sys/class/net` need not be.
///
/// What the device has received is what the guest has sent. The kernel has no header in its bytes
/// but Ethernet's, and counts a frame for the guest when that is taken, or dropped if the guest
/// takes none for so long that the device is full.
///
/// Any thread (guarded by this).
final class TapTraffic {
    private static final Path DEVICES = Path.of("/proc/self/net/dev");

    // columns behind the name: bytes, packets, errs, drop and four more of what was received, and
    // the same of what was sent
    private static final int FRAMES = 1;
    private static final int DROPPED = 3;
    private static final int SENT = 8;

    private final String name;
    private final NetTraffic before;
    private NetTraffic last;

    private TapTraffic(String name, NetTraffic before) {
        this.name = name;
        this.before = before;
        this.last = before;
    }

    /// Begins to count: the device may be older.
    static TapTraffic of(String name) throws IOException {
        return new TapTraffic(name, read(name));
    }

    /// Since it began; what was read last if the device cannot be found any more.
    synchronized NetTraffic now() {
        try {
            last = read(name);
        } catch (IOException e) {
            // it may have been renamed, or moved to another namespace
        }
        return last.minus(before);
    }

    private static NetTraffic read(String name) throws IOException {
        // names are any bytes
        return parse(Files.readAllLines(DEVICES, StandardCharsets.ISO_8859_1).stream(), name);
    }

    /// @param lines of `/proc/net/dev`
    static NetTraffic parse(Stream<String> lines, String name) throws IOException {
        var bytes = name.getBytes(StandardCharsets.UTF_8);
        String start = new String(bytes, StandardCharsets.ISO_8859_1) + ":";
        String line =
                lines.map(String::strip)
                        .filter(each -> each.startsWith(start))
                        .findFirst()
                        .orElseThrow(() -> new IOException("%s: no %s".formatted(DEVICES, name)));
        String[] columns = line.substring(start.length()).strip().split(" +", -1);
        try {
            return new NetTraffic(count(columns, SENT), count(columns, 0));
        } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
            throw new IOException("%s: expected numbers: %s".formatted(DEVICES, line), e);
        }
    }

    private static NetTraffic.Count count(String[] columns, int from) {
        return new NetTraffic.Count(
                Long.parseUnsignedLong(columns[from + FRAMES]),
                Long.parseUnsignedLong(columns[from]),
                Long.parseUnsignedLong(columns[from + DROPPED]));
    }
}
