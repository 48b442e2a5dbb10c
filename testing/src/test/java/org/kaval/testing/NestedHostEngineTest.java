package org.kaval.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.testkit.engine.EngineExecutionResults;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Event;
import org.junit.platform.testkit.engine.EventType;
import org.opentest4j.AssertionFailedError;
import org.opentest4j.TestAbortedException;

/// Tests that run in the nested host look here as if they had run here, and what ends the nested
/// host ends one test only.
class NestedHostEngineTest {
    private final PrintStream out = System.out;
    private final PrintStream err = System.err;
    private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private final ByteArrayOutputStream complained = new ByteArrayOutputStream();

    @BeforeEach
    void capture() {
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
    }

    @AfterEach
    void release() {
        System.setOut(out);
        System.setErr(err);
    }

    private static EngineTestKit.Builder engine(Class<?>... classes) {
        return engine(Place.NESTED, classes);
    }

    /// @param place as {@link Place#PROPERTY} has it
    static EngineTestKit.Builder engine(String place, Class<?>... classes) {
        return EngineTestKit.engine(NestedHostEngine.ID)
                .configurationParameter(Place.PROPERTY, place)
                .configurationParameter(
                        "junit.jupiter.execution.timeout.threaddump.enabled", "true")
                .selectors(
                        Arrays.stream(classes)
                                .map(type -> selectClass(type))
                                .toArray(org.junit.platform.engine.discovery.ClassSelector[]::new));
    }

    /// What became of each test, by display name.
    static Map<String, String> outcomes(EngineExecutionResults results) {
        var outcomes = new TreeMap<String, String>();
        results.testEvents().stream()
                .forEach(
                        event -> outcome(event).ifPresent(text -> outcomes.put(name(event), text)));
        return outcomes;
    }

    private static String name(Event event) {
        return event.getTestDescriptor().getDisplayName();
    }

    private static java.util.Optional<String> outcome(Event event) {
        return switch (event.getType().name()) {
            case "FINISHED" ->
                    event.getPayload(TestExecutionResult.class).map(r -> r.getStatus().name());
            case "SKIPPED" -> event.getPayload(String.class);
            default -> java.util.Optional.empty();
        };
    }

    static Throwable failure(EngineExecutionResults results, String test) {
        return results.testEvents().stream()
                .filter(event -> event.getType() == EventType.FINISHED && name(event).equals(test))
                .findFirst()
                .flatMap(event -> event.getPayload(TestExecutionResult.class))
                .flatMap(TestExecutionResult::getThrowable)
                .orElseThrow();
    }

    @Test
    void resultsComeBackAsTheyWere() {
        EngineExecutionResults results = engine(Samples.Everything.class).execute();

        Map<String, String> expected =
                Map.of(
                        "passesOnAmdV()", "SUCCESSFUL",
                        "failsWithValues()", "FAILED",
                        "throwsWithCause()", "FAILED",
                        "isAborted()", "ABORTED",
                        "isDisabled()", "not ever",
                        "[1] number = 7", "SUCCESSFUL",
                        "[2] number = 8", "FAILED",
                        "[3] number = 9", "SUCCESSFUL",
                        "passesInside()", "SUCCESSFUL");
        assertEquals(new TreeMap<>(expected), outcomes(results));

        var values =
                assertInstanceOf(AssertionFailedError.class, failure(results, "failsWithValues()"));
        assertEquals(
                "they differ ==> expected: <expected one> but was: <actual one>",
                values.getMessage());
        assertEquals("actual one", values.getActual().getStringRepresentation());
        Throwable thrown = failure(results, "throwsWithCause()");
        assertEquals("java.lang.IllegalStateException: outer", thrown.toString());
        assertEquals("java.lang.ArithmeticException: inner", String.valueOf(thrown.getCause()));
        assertTrue(
                Arrays.stream(thrown.getStackTrace())
                        .anyMatch(frame ->
                                frame.getMethodName().equals("throwsWithCause")
                                        && "Samples.java".equals(frame.getFileName())));
        Throwable aborted = failure(results, "isAborted()");
        assertInstanceOf(TestAbortedException.class, aborted);
        assertEquals("Assumption failed: not today", aborted.getMessage());
        assertTrue(printed.toString(StandardCharsets.UTF_8).contains("printed inside"));
        assertTrue(complained.toString(StandardCharsets.UTF_8).contains("complained inside"));
    }

    @Test
    void failureOfAClassIsThatOfTheClass() {
        EngineExecutionResults results = engine(Samples.Unprepared.class).execute();
        assertEquals(Map.of(), outcomes(results));
        List<Event> failed = results.containerEvents().failed().list();
        assertEquals(1, failed.size());
        assertTrue(failed.getFirst().toString().contains("cannot prepare"));
    }

    @Test
    void whatNeedsNothingStaysHere() {
        EngineExecutionResults results =
                engine(Samples.Undemanding.class, Samples.Mixed.class).execute();
        assertEquals(Map.of("needsKvm()", "SUCCESSFUL"), outcomes(results));
    }

    @Test
    void crashOfTheJvmFailsOneTest() {
        Throwable failure = failureOfDoomed(Samples.Crashing.class);
        assertContains("SIGSEGV", failure);
        assertContains("ended with status 134", failure);
    }

    @Test
    void crashOfTheJvmFailsOneInvocationOfATemplate() {
        EngineExecutionResults results = engine(Samples.CrashingTemplate.class).execute();
        assertEquals(
                Map.of(
                        "[1] number = 1", "SUCCESSFUL",
                        "[2] number = 2", "FAILED",
                        "[3] number = 3", "SUCCESSFUL",
                        "[4] number = 4", "FAILED",
                        "runsAfter()", "SUCCESSFUL"),
                outcomes(results));
        assertContains("SIGSEGV", failure(results, "[2] number = 2"));
        assertEquals(0, results.containerEvents().failed().count());
    }

    @Test
    void jvmOutOfMemoryFailsOneTest() {
        Throwable failure = failureOfDoomed(Samples.Hungry.class);
        assertContains("ran out of memory", failure);
    }

    @Test
    void kernelPanicFailsOneTest() {
        Throwable failure = failureOfDoomed(Samples.Panicking.class);
        assertContains("kernel panic: sysrq triggered crash", failure);
    }

    @Test
    void testThatHangsFailsAtItsTimeLimitWithAThreadDump() {
        Throwable failure = failureOfDoomed(Samples.Hanging.class);
        assertContains("timed out after 2 seconds", failure);
        String dump = printed.toString(StandardCharsets.UTF_8);
        assertTrue(dump.contains("Samples.waitForEver"), dump);
    }

    @Test
    void silenceOfTheJvmEndsWithItsThreadDump() {
        EngineExecutionResults results =
                engine(Samples.Silent.class)
                        .configurationParameter("kaval.nested-host.silence", "PT3S")
                        .execute();
        Throwable failure = failure(results, "ends()");
        assertContains("nothing has happened for 3 s", failure);
        String dump = complained.toString(StandardCharsets.UTF_8);
        assertTrue(dump.contains("Samples.waitForEver"), dump);
        assertEquals("SUCCESSFUL", outcomes(results).get("runsAfter()"));
    }

    private static void assertContains(String part, Throwable failure) {
        String message = String.valueOf(failure.getMessage());
        assertTrue(message.contains(part), message);
    }

    /// Of the three tests only the second has failed.
    private static Throwable failureOfDoomed(Class<?> doomed) {
        EngineExecutionResults results = engine(doomed).execute();
        assertEquals(
                Map.of(
                        "runsBefore()",
                        "SUCCESSFUL",
                        "ends()",
                        "FAILED",
                        "runsAfter()",
                        "SUCCESSFUL"),
                outcomes(results));
        return failure(results, "ends()");
    }
}
