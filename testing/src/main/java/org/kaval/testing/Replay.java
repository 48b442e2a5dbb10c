package org.kaval.testing;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.EngineExecutionListener;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.engine.reporting.ReportEntry;
import org.junit.platform.engine.support.descriptor.AbstractTestDescriptor;
import org.kaval.nested.guest.Frames;
import org.kaval.testing.worker.Failure;
import org.kaval.testing.worker.Worker;
import org.kaval.testing.worker.WorkerMessage;

/// Tells JUnit here what a worker tells of the tests of one class. For one thread.
final class Replay {
    /// How many invocations of a template are looked for after one that has crashed the worker: how
    /// many there are is known only when they run.
    private static final int MORE_INVOCATIONS = 200;

    private static final Pattern INDEX = Pattern.compile("#[0-9]{1,8}");

    private final TestDescriptor testClass;
    private final EngineExecutionListener listener;
    private final String root;
    private final Map<String, TestDescriptor> known = new HashMap<>(); // by the worker's ids
    private final Map<String, TestDescriptor> remaining = new LinkedHashMap<>();
    private final Deque<TestDescriptor> running = new ArrayDeque<>(); // innermost last
    private final Set<TestDescriptor> started = new HashSet<>();
    private final Map<TestDescriptor, UniqueId> crashed = new HashMap<>(); // of templates: the last
    private int results;
    private String notes = "";

    Replay(TestDescriptor testClass, EngineExecutionListener listener) {
        this.testClass = testClass;
        this.listener = listener;
        String id = testClass.getUniqueId().toString();
        this.root = id.substring(0, id.indexOf(']') + 1);
        add(testClass);
        for (TestDescriptor test : testClass.getDescendants()) {
            add(test);
        }
    }

    private void add(TestDescriptor test) {
        String id = remoteId(test);
        known.put(id, test);
        if (NestedHostEngine.isRunnable(test)) {
            remaining.put(id, test);
        }
    }

    private static String remoteId(TestDescriptor test) {
        return remoteId(test.getUniqueId());
    }

    private static String remoteId(UniqueId uniqueId) {
        String id = uniqueId.toString();
        return Worker.ROOT + id.substring(id.indexOf(']') + 1);
    }

    /// The worker's unique ids of what has no result yet.
    List<String> remaining() {
        var ids = new ArrayList<String>();
        remaining.forEach((id, test) -> {
            UniqueId last = crashed.get(test);
            if (last == null) {
                ids.add(id);
                return;
            }
            for (int i = 1; i <= MORE_INVOCATIONS; i++) {
                ids.add(remoteId(later(last, i)));
            }
        });
        return ids;
    }

    /// How many results there are, of tests and of what holds them.
    int results() {
        return results;
    }

    /// The invocation of the same template that comes so many after another.
    private static UniqueId later(UniqueId invocation, int count) {
        UniqueId.Segment segment = invocation.getLastSegment();
        int index = Integer.parseInt(segment.getValue().substring(1));
        return invocation.removeLastSegment().append(segment.getType(), "#" + (index + count));
    }

    /// Something to be told with the failure that follows.
    void note(String text) {
        notes = text + ": ";
    }

    /// @return whether this was the last event
    boolean accept(Frames.Frame frame) throws IOException {
        switch (frame.type()) {
            case WorkerMessage.OUT -> System.out.writeBytes(frame.payload());
            case WorkerMessage.ERR -> System.err.writeBytes(frame.payload());
            case WorkerMessage.DONE -> {
                return true;
            }
            default -> accept(frame.type(), WorkerMessage.decode(frame.payload()));
        }
        return false;
    }

    private void accept(int type, List<String> strings) throws IOException {
        if (type == WorkerMessage.REGISTERED) {
            register(strings);
            return;
        }
        TestDescriptor test = known.get(strings.getFirst());
        if (test == null) {
            return; // the engine itself, which is this one's matter
        }
        List<String> rest = strings.subList(1, strings.size());
        switch (type) {
            case WorkerMessage.STARTED -> start(test);
            case WorkerMessage.SUCCESSFUL -> succeed(test);
            case WorkerMessage.ABORTED ->
                    finish(test, TestExecutionResult.aborted(Failure.decode(rest)));
            case WorkerMessage.FAILED ->
                    finish(test, TestExecutionResult.failed(Failure.decode(rest)));
            case WorkerMessage.SKIPPED -> skip(test, rest.getFirst());
            case WorkerMessage.ENTRY ->
                    listener.reportingEntryPublished(
                            test, ReportEntry.from(rest.getFirst(), rest.getLast()));
            default -> throw new IOException("the worker has sent type " + type);
        }
    }

    private void register(List<String> strings) {
        TestDescriptor parent = known.get(strings.get(1));
        if (parent == null || known.containsKey(strings.getFirst())) {
            return; // a second attempt registers again
        }
        var id = UniqueId.parse(root(strings.getFirst()));
        var test =
                new Dynamic(
                        id,
                        strings.get(2),
                        strings.get(3),
                        TestDescriptor.Type.valueOf(strings.get(4)),
                        parent);
        parent.addChild(test);
        known.put(strings.getFirst(), test);
        listener.dynamicTestRegistered(test);
    }

    private String root(String remoteId) {
        return root + remoteId.substring(remoteId.indexOf(']') + 1);
    }

    private void start(TestDescriptor test) {
        if (started.add(test)) {
            running.addLast(test);
            listener.executionStarted(test);
        }
    }

    private void succeed(TestDescriptor test) {
        UniqueId last = crashed.get(test);
        boolean complete =
                last == null || !known.containsKey(remoteId(later(last, MORE_INVOCATIONS)));
        finish(
                test,
                complete
                        ? TestExecutionResult.successful()
                        : failed("has too many invocations after the one that crashed"));
    }

    /// A container whose worker has died is finished by a later attempt.
    private void finish(TestDescriptor test, TestExecutionResult result) {
        remaining.remove(remoteId(test));
        if (!running.remove(test)) {
            return;
        }
        results++;
        listener.executionFinished(test, result);
        if (result.getStatus() != TestExecutionResult.Status.SUCCESSFUL) {
            forget(test); // what it holds has not been run, and will not be
        }
    }

    private void skip(TestDescriptor test, String reason) {
        results++;
        started.add(test);
        forget(test);
        listener.executionSkipped(test, reason);
    }

    private void forget(TestDescriptor test) {
        remaining.remove(remoteId(test));
        for (TestDescriptor inner : test.getDescendants()) {
            remaining.remove(remoteId(inner));
        }
    }

    /// What was running when the worker ended has failed; the containers around it go on, and so
    /// does a template after its invocation that was running.
    void failRunning(String reason) {
        TestDescriptor failed = null;
        while (!running.isEmpty() && !isOuter(running.getLast())) {
            TestDescriptor test = running.getLast();
            if (failed != null && isInvocationOf(test, failed)) {
                crashed.put(test, failed.getUniqueId());
                return;
            }
            finish(test, failed(reason));
            failed = test;
        }
    }

    private boolean isInvocationOf(TestDescriptor template, TestDescriptor test) {
        return remaining.containsKey(remoteId(template))
                && test.getUniqueId().removeLastSegment().equals(template.getUniqueId())
                && INDEX.matcher(test.getUniqueId().getLastSegment().getValue()).matches();
    }

    private static boolean isOuter(TestDescriptor test) {
        return !test.isTest() && !NestedHostEngine.isRunnable(test) && !test.mayRegisterTests();
    }

    /// The worker has ended between tests: so the next one has failed, lest this goes on for ever.
    void failFirst(String reason) {
        TestDescriptor first = remaining.values().iterator().next();
        Deque<TestDescriptor> path = new ArrayDeque<>();
        for (TestDescriptor at = first; !at.equals(testClass); at = at.getParent().orElseThrow()) {
            path.addFirst(at);
        }
        start(testClass);
        path.forEach(this::start);
        finish(first, failed(reason));
    }

    /// The end of the class.
    ///
    /// @param hopeless why the rest could not be run, if it could not
    void finish(@Nullable String hopeless) {
        if (hopeless != null) {
            while (!remaining.isEmpty()) {
                failFirst(hopeless);
            }
        }
        while (!running.isEmpty()) {
            TestDescriptor last = running.removeLast();
            listener.executionFinished(last, TestExecutionResult.successful());
        }
    }

    private TestExecutionResult failed(String reason) {
        var failure = new AssertionError(notes + reason);
        notes = "";
        failure.setStackTrace(new StackTraceElement[0]);
        return TestExecutionResult.failed(failure);
    }

    /// A test that is found only when it runs: one invocation of a parameterized test.
    private static final class Dynamic extends AbstractTestDescriptor {
        private final String legacyName;
        private final Type type;

        Dynamic(
                UniqueId id,
                String displayName,
                String legacyName,
                Type type,
                TestDescriptor parent) {
            super(id, displayName, parent.getSource().orElse(null));
            this.legacyName = legacyName;
            this.type = type;
        }

        @Override
        public Type getType() {
            return type;
        }

        @Override
        public String getLegacyReportingName() {
            return legacyName;
        }
    }
}
