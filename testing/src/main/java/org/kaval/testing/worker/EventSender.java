package org.kaval.testing.worker;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.reporting.ReportEntry;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.kaval.nested.guest.Frames;

/// Sends on what JUnit tells.
final class EventSender implements TestExecutionListener {
    private final Frames frames;

    EventSender(Frames frames) {
        this.frames = frames;
    }

    @Override
    public void dynamicTestRegistered(TestIdentifier test) {
        send(
                WorkerMessage.REGISTERED,
                List.of(
                        test.getUniqueId(),
                        test.getParentId().orElse(Worker.ROOT),
                        test.getDisplayName(),
                        test.getLegacyReportingName(),
                        test.getType().name()));
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        send(WorkerMessage.STARTED, List.of(test.getUniqueId()));
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        send(WorkerMessage.SKIPPED, List.of(test.getUniqueId(), reason));
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        int type =
                switch (result.getStatus()) {
                    case SUCCESSFUL -> WorkerMessage.SUCCESSFUL;
                    case ABORTED -> WorkerMessage.ABORTED;
                    case FAILED -> WorkerMessage.FAILED;
                };
        var strings = new ArrayList<String>();
        strings.add(test.getUniqueId());
        strings.addAll(Failure.encode(result.getThrowable().orElse(null)));
        send(type, strings);
    }

    @Override
    public void reportingEntryPublished(TestIdentifier test, ReportEntry entry) {
        var strings = new ArrayList<String>();
        strings.add(test.getUniqueId());
        entry.getKeyValuePairs()
                .forEach((name, value) -> {
                    strings.add(name);
                    strings.add(value);
                });
        send(WorkerMessage.ENTRY, strings);
    }

    private void send(int type, List<String> strings) {
        try {
            frames.send(type, 0, WorkerMessage.encode(strings));
        } catch (IOException e) {
            throw new UncheckedIOException("the engine is gone", e);
        }
    }
}
