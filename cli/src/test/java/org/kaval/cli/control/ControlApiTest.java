package org.kaval.cli.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.io.InputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.net.NetTraffic;
import org.kaval.machine.snapshot.MemoryCompression;

/// The API over its socket, for a machine between two guests of a restart.
class ControlApiTest {
    private static final Duration LIMIT = Duration.ofSeconds(30);

    @TempDir private Path directory = Path.of("");

    private final List<String> calls = new ArrayList<>();
    private ControlServer server;

    /// Has no guest, and takes down what it is told.
    private final class Recorder implements Controlled {
        @Override
        public <T> T ask(Question<T> question) throws ConflictException {
            throw new ConflictException("there is no guest");
        }

        @Override
        public <T> T look(Question<T> question) throws ConflictException {
            throw new ConflictException("there is no guest");
        }

        @Override
        public void shutDown(Duration grace) {
            calls.add("shut down in " + grace.toMillis());
        }

        @Override
        public void kill() {
            calls.add("kill");
        }

        @Override
        public Duration grace() {
            return Duration.ofSeconds(30);
        }

        @Override
        public Map<String, Object> description() {
            return Map.of("name", "web");
        }

        @Override
        public Map<String, DiskStatistics> disks() {
            return Map.of();
        }

        @Override
        public Map<String, NetTraffic> networks() {
            return Map.of();
        }

        @Override
        public Duration snapshot(SnapshotWish wish) throws ConflictException, IOException {
            calls.add(wish.toString());
            if (wish.directory().equals(NOT_MINE)) {
                throw new AccessDeniedException(NOT_MINE.toString());
            }
            if (wish.live()) {
                throw new ConflictException("it cannot");
            }
            return Duration.ofMillis(1500);
        }

        @Override
        public void growDisk(String disk, long bytes) throws ConflictException {
            calls.add(disk + " " + bytes);
            if (!disk.equals("disk0")) {
                throw new ConflictException("there is no disk '%s'".formatted(disk));
            }
        }

        @Override
        public BalloonState balloon() {
            return new BalloonState(8192, 4096);
        }

        @Override
        public void setBalloon(long bytes) {
            calls.add("balloon " + bytes);
        }
    }

    private static final Path NOT_MINE = Path.of("/not-mine");

    private record Answer(int status, String body) {}

    @BeforeEach
    void start() throws Exception {
        Path socket = directory.resolve("api");
        server = ControlServer.start(socket, new ControlApi(new Recorder()));
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!Files.exists(socket)) {
            assertTrue(System.nanoTime() < end, "a socket");
            Thread.onSpinWait();
        }
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(directory.resolve("api")));
    }

    private Answer ask(String method, String path, byte[] body) throws IOException {
        String head =
                "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                        .formatted(method, path, body.length);
        try (SocketChannel channel = connect()) {
            send(channel, head.getBytes(StandardCharsets.US_ASCII));
            send(channel, body);
            String text =
                    new String(
                            Channels.newInputStream(channel).readAllBytes(),
                            StandardCharsets.UTF_8);
            return new Answer(
                    Integer.parseInt(text.split(" ", 3)[1]),
                    text.substring(text.indexOf("\r\n\r\n") + 4));
        }
    }

    private Answer ask(String method, String path, String body) throws IOException {
        return ask(method, path, body.getBytes(StandardCharsets.UTF_8));
    }

    private static void send(SocketChannel channel, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    @Test
    void machineIsDescribed() throws Exception {
        Answer answer = ask("GET", "/v1/vm", "");
        assertEquals(200, answer.status);
        assertEquals(Map.of("name", "web", "state", "restarting"), JSON.std.mapFrom(answer.body));
    }

    @Test
    void socketIsItsOwners() throws Exception {
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(directory.resolve("api"))));
    }

    @Test
    void requestsReachTheMachine() throws Exception {
        assertEquals(200, ask("POST", "/v1/vm/shut-down", "").status);
        assertEquals(200, ask("POST", "/v1/vm/shut-down", "{\"graceSeconds\": 1.5}").status);
        assertEquals(200, ask("POST", "/v1/vm/kill", "{}").status);
        assertEquals(200, ask("PUT", "/v1/vm/disks/disk0", "{\"size\": 1024}").status);
        assertEquals(200, ask("PUT", "/v1/vm/balloon", "{\"target\": 8192}").status);
        assertEquals(
                List.of(
                        "shut down in 30000",
                        "shut down in 1500",
                        "kill",
                        "disk0 1024",
                        "balloon 8192"),
                calls);
    }

    @Test
    void balloonIsTold() throws Exception {
        assertEquals(
                Map.of("target", 8192, "size", 4096),
                JSON.std.mapFrom(ask("GET", "/v1/vm/balloon", "").body));
    }

    @Test
    void whatTheHostRefusesIsSaidWithItsReason() throws Exception {
        Answer refused = ask("POST", "/v1/vm/snapshot", "{\"directory\": \"/not-mine\"}");
        assertEquals(500, refused.status);
        assertEquals(
                Map.of("error", "/not-mine: permission denied"), JSON.std.mapFrom(refused.body));
    }

    @Test
    void snapshotIsMadeAsItIsWished() throws Exception {
        Answer answer =
                ask(
                        "POST",
                        "/v1/vm/snapshot",
                        "{\"directory\": \"/s\", \"base\": \"/b\", \"disks\": false, \"compression\": \"zstd\"}");
        assertEquals(200, answer.status, answer.body);
        assertEquals(Map.of("stillSeconds", 1.5), JSON.std.mapFrom(answer.body));
        Answer refused = ask("POST", "/v1/vm/snapshot", "{\"directory\": \"/s\", \"live\": true}");
        assertEquals(409, refused.status);
        assertEquals(
                List.of(
                        new SnapshotWish(
                                        Path.of("/s"),
                                        false,
                                        false,
                                        MemoryCompression.ZSTD,
                                        Path.of("/b"))
                                .toString(),
                        new SnapshotWish(Path.of("/s"), true, true, MemoryCompression.NONE, null)
                                .toString()),
                calls);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "GET | /v1/vms | ## | 404",
                "GET | /v1/vm/disks/ | ## | 404",
                "DELETE | /v1/vm | ## | 405",
                "GET | /v1/vm/kill | ## | 405",
                "POST | /v1/vm/pause | #{# | 400",
                "POST | /v1/vm/pause | #[1]# | 400",
                "POST | /v1/vm/pause | #{\"x\": 1}# | 400",
                "POST | /v1/vm/shut-down | #{\"graceSeconds\": -1}# | 400",
                "POST | /v1/vm/shut-down | #{\"graceSeconds\": \"soon\"}# | 400",
                "POST | /v1/vm/snapshot | #{}# | 400",
                "POST | /v1/vm/snapshot | #{\"directory\": \"here\"}# | 400",
                "POST | /v1/vm/snapshot | #{\"directory\": \"/s\", \"live\": 1}# | 400",
                "POST | /v1/vm/snapshot | #{\"directory\": \"/s\", \"compression\": \"gzip\"}# | 400",
                "PUT | /v1/vm/disks/disk0 | #{}# | 400",
                "PUT | /v1/vm/disks/disk0 | #{\"size\": 1000}# | 400",
                "PUT | /v1/vm/disks/disk0 | #{\"size\": 0.5}# | 400",
                "PUT | /v1/vm/disks/none | #{\"size\": 512}# | 409",
                "PUT | /v1/vm/balloon | #{}# | 400",
                "PUT | /v1/vm/balloon | #{\"target\": 100}# | 400",
                "PUT | /v1/vm/balloon | #{\"target\": -4096}# | 400",
                "POST | /v1/vm/pause | ## | 409",
                "POST | /v1/vm/resume | ## | 409",
                "GET | /v1/vm/statistics | ## | 409",
            })
    void whatCannotBeIsRefused(String method, String path, String body, int status)
            throws Exception {
        Answer answer = ask(method, path, body);
        assertEquals(status, answer.status, answer.body);
        assertTrue(JSON.std.mapFrom(answer.body).get("error") instanceof String, answer.body);
    }

    @Test
    void deepNestingIsRefused() throws Exception {
        assertEquals(400, ask("POST", "/v1/vm/pause", "{\"a\":".repeat(5000)).status);
    }

    /// Each time, since an answer that is lost with a connection is so in one of a hundred.
    @ParameterizedTest
    @CsvSource({"POST, /v1/vm/pause, 413", "POST, /v1/nothing, 404", "PATCH, /v1/vm, 405"})
    void tenMebibytesAreTooMany(String method, String path, int status) throws Exception {
        for (int i = 0; i < 100; i++) {
            assertEquals(status, ask(method, path, new byte[10 << 20]).status);
        }
        assertEquals(200, ask("GET", "/v1/vm", "").status);
    }

    @Test
    void thousandConnectionsAreNoHindrance() throws Exception {
        var open = new ArrayList<SocketChannel>();
        try {
            for (int i = 0; i < 1000; i++) {
                open.add(connect());
            }
            assertEquals(200, ask("GET", "/v1/vm", "").status);
        } finally {
            for (SocketChannel channel : open) {
                channel.close();
            }
        }
    }

    @Test
    void descriptionOfTheApiNamesAllThatThereIs() throws Exception {
        Fields paths;
        try (InputStream in = ControlApi.class.getResourceAsStream("openapi.json")) {
            paths = new Fields(JSON.std.mapFrom(in)).object("paths");
        }
        var described = new TreeMap<String, TreeSet<String>>();
        for (String path : paths.values().keySet()) {
            var methods = new TreeSet<String>();
            paths.object(path)
                    .values()
                    .keySet()
                    .forEach(method -> methods.add(method.toUpperCase(Locale.ROOT)));
            described.put(path, methods);
        }
        var routes = new TreeMap<String, TreeSet<String>>();
        new ControlApi(new Recorder())
                .routes()
                .forEach((path, methods) -> routes.put(path, new TreeSet<>(methods)));
        assertEquals(routes, described);
    }
}
