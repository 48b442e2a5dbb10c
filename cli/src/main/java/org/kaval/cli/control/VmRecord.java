package org.kaval.cli.control;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.LinkedHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What is written down of a named machine, in JSON.
///
/// @param process the number of its process
/// @param started when it was
/// @param command what follows `kaval`
/// @param background whether it has no terminal
/// @param running whether its guest has begun to run
/// @param ended when it did; null while it has not
/// @param outcome how, in words; empty while it has not
/// @param status what its process has given to the shell
public record VmRecord(
        long process,
        Instant started,
        List<String> command,
        boolean background,
        boolean running,
        @Nullable Instant ended,
        String outcome,
        int status) {
    public VmRecord {
        command = List.copyOf(command);
    }

    /// One that is about to start, in this process.
    static VmRecord starting(List<String> command, boolean background) {
        return new VmRecord(
                ProcessHandle.current().pid(),
                Instant.now(),
                command,
                background,
                false,
                null,
                "",
                0);
    }

    VmRecord nowRunning() {
        return new VmRecord(process, started, command, background, true, null, "", 0);
    }

    VmRecord nowEnded(String how, int newStatus) {
        return new VmRecord(
                process, started, command, background, running, Instant.now(), how, newStatus);
    }

    /// In words, for one whose process lives or not.
    public String state(boolean alive) {
        if (ended != null) {
            return "ended";
        }
        if (!alive) {
            return "died";
        }
        return running ? "running" : "starting";
    }

    byte[] toJson() throws IOException {
        var fields = new LinkedHashMap<String, Object>();
        fields.put("process", process);
        fields.put("started", started.toString());
        fields.put("command", command);
        fields.put("background", background);
        fields.put("running", running);
        if (ended != null) {
            fields.put("ended", ended.toString());
            fields.put("outcome", outcome);
            fields.put("status", status);
        }
        return JSON.std.with(JSON.Feature.PRETTY_PRINT_OUTPUT).asBytes(fields);
    }

    /// @throws IOException if it is none
    static VmRecord parse(byte[] json) throws IOException {
        var fields = new Fields(JSON.std.mapFrom(json));
        boolean hasEnded = fields.has("ended");
        try {
            return new VmRecord(
                    fields.integer("process"),
                    Instant.parse(fields.text("started")),
                    fields.texts("command"),
                    fields.flag("background"),
                    fields.flag("running"),
                    hasEnded ? Instant.parse(fields.text("ended")) : null,
                    hasEnded ? fields.text("outcome") : "",
                    hasEnded ? (int) fields.integer("status") : 0);
        } catch (IllegalArgumentException | DateTimeParseException e) {
            throw new IOException("vm.json is not what Kaval writes: " + e.getMessage(), e);
        }
    }
}
