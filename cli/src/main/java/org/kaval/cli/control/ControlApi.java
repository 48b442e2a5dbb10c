package org.kaval.cli.control;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.Controlled.ConflictException;
import org.kaval.machine.snapshot.MemoryCompression;

/// Answers what is asked of a machine by HTTP (`openapi.yaml`): JSON in and out, `{"error": …}`
/// with 400 for what makes no sense, 404 and 405 for what there is not, 409 for what cannot be done
/// now, 413 for too much. Whatever the answer, a body is read to its end. Any thread.
final class ControlApi extends Handler.Abstract {
    private static final Logger LOG = System.getLogger(ControlApi.class.getName());
    private static final int MAX_BODY = 64 << 10;
    private static final double MAX_SECONDS = 1e9;
    private static final String JSON_TYPE = "application/json";
    private static final int PAGE = 4096;
    private static final String DISKS = "/v1/vm/disks/";

    private final Controlled vm;
    private final Map<String, Map<String, Route>> routes = new TreeMap<>();

    ControlApi(Controlled vm) {
        this.vm = vm;
        add("GET", "/v1/vm", (_, _) -> Reply.of(describe()));
        add("GET", "/v1/vm/statistics", (_, _) -> Reply.of(new Statistics(vm).toMap()));
        add("GET", "/v1/vm/diagnosis", (_, _) -> Reply.of(diagnose()));
        add("GET", "/metrics", (_, _) -> Reply.text(new Statistics(vm).toPrometheus()));
        add("POST", "/v1/vm/pause", this::pause);
        add("POST", "/v1/vm/resume", this::resume);
        add("POST", "/v1/vm/power-button", this::pressPowerButton);
        add("POST", "/v1/vm/ctrl-alt-delete", this::typeCtrlAltDelete);
        add("POST", "/v1/vm/shut-down", this::shutDown);
        add("POST", "/v1/vm/kill", this::kill);
        add("POST", "/v1/vm/snapshot", this::snapshot);
        add("PUT", DISKS + "{id}", this::growDisk);
        add("GET", "/v1/vm/balloon", (_, _) -> balloon());
        add("PUT", "/v1/vm/balloon", this::setBalloon);
    }

    /// Methods by path, as in `openapi.yaml`.
    Map<String, Set<String>> routes() {
        var methods = new TreeMap<String, Set<String>>();
        routes.forEach((path, handlers) -> methods.put(path, Set.copyOf(handlers.keySet())));
        return methods;
    }

    private void add(String method, String path, Route route) {
        routes.computeIfAbsent(path, _ -> new TreeMap<>()).put(method, route);
    }

    private interface Route {
        Reply answer(String argument, Map<String, Object> body)
                throws IOException, InterruptedException, ConflictException, BadRequest;
    }

    private record Reply(int status, String type, String text) {
        static Reply of(Map<String, Object> json) throws IOException {
            return new Reply(200, JSON_TYPE, JSON.std.asString(json));
        }

        static Reply text(String text) {
            return new Reply(200, "text/plain; version=0.0.4", text);
        }

        static Reply done() {
            return new Reply(200, JSON_TYPE, "{}");
        }

        static Reply error(int status, String message) throws IOException {
            return new Reply(status, JSON_TYPE, JSON.std.asString(Map.of("error", message)));
        }
    }

    private static final class BadRequest extends Exception {
        private static final long serialVersionUID = 1;

        BadRequest(String message) {
            super(message);
        }
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback)
            throws IOException {
        Reply reply = answer(request);
        response.setStatus(reply.status);
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, reply.type);
        byte[] text = reply.text.getBytes(StandardCharsets.UTF_8);
        response.getHeaders().put(HttpHeader.CONTENT_LENGTH, text.length);
        // a connection closed before all was read is reset, and the answer may be lost with it
        Callback sent =
                Callback.from(() -> Content.Source.consumeAll(request, callback), callback::failed);
        response.write(true, ByteBuffer.wrap(text), sent);
        return true;
    }

    private Reply answer(Request request) throws IOException {
        String path = Request.getPathInContext(request);
        String argument = "";
        if (path.startsWith(DISKS) && path.length() > DISKS.length()) {
            argument = path.substring(DISKS.length());
            path = DISKS + "{id}";
        }
        Map<String, Route> handlers = routes.get(path);
        if (handlers == null) {
            return Reply.error(404, "there is no " + path);
        }
        Route route = handlers.get(request.getMethod());
        if (route == null) {
            return Reply.error(
                    405, "%s takes %s".formatted(path, String.join(", ", handlers.keySet())));
        }
        // closing the stream would fail what is still to be read
        byte[] body = Content.Source.asInputStream(request).readNBytes(MAX_BODY + 1);
        if (body.length > MAX_BODY) {
            return Reply.error(413, "more than %d bytes".formatted(MAX_BODY));
        }
        request.addIdleTimeoutListener(_ -> false); // an answer may take its time
        try {
            return route.answer(argument, parse(body));
        } catch (BadRequest e) {
            return Reply.error(400, String.valueOf(e.getMessage()));
        } catch (ConflictException e) {
            return Reply.error(409, String.valueOf(e.getMessage()));
        } catch (IOException e) {
            String message = Failures.message(e);
            LOG.log(Level.WARNING, "{0}: {1}", path, message);
            return Reply.error(500, message);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Reply.error(503, "the machine is ending");
        }
    }

    private static Map<String, Object> parse(byte[] body) throws BadRequest {
        if (body.length == 0) {
            return Map.of();
        }
        try {
            return JSON.std.mapFrom(body);
        } catch (IOException e) {
            String message = String.valueOf(e.getMessage());
            throw new BadRequest("no JSON object: " + message.lines().findFirst().orElse(""));
        }
    }

    /// @throws BadRequest if there is a field that is none of these
    private static void allow(Map<String, Object> body, String... fields) throws BadRequest {
        for (String field : body.keySet()) {
            if (!List.of(fields).contains(field)) {
                throw new BadRequest(
                        "%s: there is no such field%s"
                                .formatted(
                                        field,
                                        fields.length == 0
                                                ? ""
                                                : ", but " + String.join(", ", fields)));
            }
        }
    }

    private Map<String, Object> describe() throws IOException, InterruptedException {
        var all = new LinkedHashMap<String, Object>(vm.description());
        all.put("state", state());
        return all;
    }

    private String state() throws IOException, InterruptedException {
        try {
            return vm.look(guest -> {
                if (guest.outcome().isPresent()) {
                    return "ending";
                }
                return guest.isPaused() ? "paused" : "running";
            });
        } catch (ConflictException _) {
            return "restarting";
        }
    }

    private Map<String, Object> diagnose()
            throws IOException, InterruptedException, ConflictException {
        return vm.ask(guest -> Map.of("lines", guest.diagnose().lines()));
    }

    private Reply pause(String argument, Map<String, Object> body)
            throws IOException, InterruptedException, ConflictException, BadRequest {
        allow(body);
        return vm.ask(guest -> {
            if (guest.isPaused()) {
                throw new ConflictException("it is paused");
            }
            if (guest.outcome().isPresent()) {
                throw new ConflictException("the guest has ended");
            }
            guest.pause();
            return Reply.done();
        });
    }

    private Reply resume(String argument, Map<String, Object> body)
            throws IOException, InterruptedException, ConflictException, BadRequest {
        allow(body);
        return vm.ask(guest -> {
            if (!guest.isPaused()) {
                throw new ConflictException("it is not paused");
            }
            guest.resume();
            return Reply.done();
        });
    }

    private Reply pressPowerButton(String argument, Map<String, Object> body)
            throws IOException, InterruptedException, ConflictException, BadRequest {
        allow(body);
        return vm.ask(guest -> Reply.of(Map.of("guestListens", guest.powerButton())));
    }

    private Reply typeCtrlAltDelete(String argument, Map<String, Object> body)
            throws IOException, InterruptedException, ConflictException, BadRequest {
        allow(body);
        return vm.ask(guest -> Reply.of(Map.of("guestListens", guest.ctrlAltDelete())));
    }

    private Reply shutDown(String argument, Map<String, Object> body) throws BadRequest {
        allow(body, "graceSeconds");
        Object seconds = body.get("graceSeconds");
        if (seconds == null) {
            vm.shutDown(vm.grace());
        } else if (seconds instanceof Number number
                && number.doubleValue() >= 0
                && number.doubleValue() <= MAX_SECONDS) {
            vm.shutDown(Duration.ofNanos((long) (number.doubleValue() * 1e9)));
        } else {
            throw new BadRequest("graceSeconds: a number of seconds, 0 or more");
        }
        return Reply.done();
    }

    private Reply kill(String argument, Map<String, Object> body) throws BadRequest {
        allow(body);
        vm.kill();
        return Reply.done();
    }

    private Reply snapshot(String argument, Map<String, Object> body)
            throws IOException, InterruptedException, ConflictException, BadRequest {
        allow(body, "directory", "live", "disks", "compression", "base");
        Path directory = absolutePath(body, "directory");
        if (directory == null) {
            throw new BadRequest("directory: is missing");
        }
        Path base = absolutePath(body, "base");
        var wish =
                new SnapshotWish(
                        directory,
                        flag(body, "live", false),
                        flag(body, "disks", true),
                        compression(body),
                        base);
        Duration still = vm.snapshot(wish);
        return Reply.of(Map.of("stillSeconds", still.toNanos() / 1e9));
    }

    private static MemoryCompression compression(Map<String, Object> body) throws BadRequest {
        Object value = body.getOrDefault("compression", "none");
        for (MemoryCompression each : MemoryCompression.values()) {
            if (each.text().equals(value)) {
                return each;
            }
        }
        throw new BadRequest("compression: none or zstd");
    }

    private static @Nullable Path absolutePath(Map<String, Object> body, String field)
            throws BadRequest {
        Object value = body.get(field);
        if (value == null) {
            return null;
        }
        try {
            if (value instanceof String text && Path.of(text).isAbsolute()) {
                return Path.of(text);
            }
        } catch (InvalidPathException _) {
            // said below
        }
        throw new BadRequest(field + ": an absolute path");
    }

    private static boolean flag(Map<String, Object> body, String field, boolean otherwise)
            throws BadRequest {
        Object value = body.getOrDefault(field, otherwise);
        if (!(value instanceof Boolean flag)) {
            throw new BadRequest(field + ": true or false");
        }
        return flag;
    }

    private Reply growDisk(String disk, Map<String, Object> body)
            throws IOException, ConflictException, BadRequest {
        allow(body, "size");
        if (!(body.get("size") instanceof Number size)
                || size.doubleValue() != size.longValue()
                || size.longValue() <= 0
                || size.longValue() % 512 != 0) {
            throw new BadRequest("size: a number of bytes, a multiple of 512");
        }
        vm.growDisk(disk, size.longValue());
        return Reply.done();
    }

    private Reply balloon() throws IOException, ConflictException {
        Controlled.BalloonState balloon = vm.balloon();
        return Reply.of(Map.of("target", balloon.target(), "size", balloon.size()));
    }

    private Reply setBalloon(String argument, Map<String, Object> body)
            throws ConflictException, BadRequest {
        allow(body, "target");
        if (!(body.get("target") instanceof Number target)
                || target.doubleValue() != target.longValue()
                || target.longValue() < 0
                || target.longValue() % PAGE != 0) {
            throw new BadRequest("target: a number of bytes, a multiple of " + PAGE);
        }
        vm.setBalloon(target.longValue());
        return Reply.done();
    }
}
