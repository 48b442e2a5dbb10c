package org.kaval.testing;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/// Notes on which kind of KVM each test ran: as the system property `kaval.kvm`, which Surefire
/// puts into its reports, and in a build by Maven as a line in `target/test-places/PID.tsv`: place,
/// result, class, test and the reason of a skip, between tabs. Found by JUnit as a service.
public final class PlaceListener implements TestExecutionListener {
    /// The system property that reports show.
    public static final String PROPERTY = "kaval.kvm";

    private static final String NESTED = "AMD-V, nested host";
    private static final String BOCHS = "VT-x, emulated by Bochs";

    private final String here = Place.here().label();
    private @Nullable BufferedWriter out; // guarded by this

    /// For JUnit.
    public PlaceListener() {}

    @Override
    public synchronized void testPlanExecutionStarted(TestPlan testPlan) {
        String module = System.getProperty("basedir"); // Surefire's
        if (module == null || !testPlan.containsTests()) {
            return;
        }
        Path folder = Path.of(module, "target", "test-places");
        try {
            Files.createDirectories(folder);
            out =
                    Files.newBufferedWriter(
                            folder.resolve(ProcessHandle.current().pid() + ".tsv"),
                            StandardOpenOption.CREATE,
                            StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        System.setProperty(PROPERTY, place(test));
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        note(test, "skipped", reason);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
        if (passed && !test.isTest()) {
            return;
        }
        String reason =
                result.getStatus() == TestExecutionResult.Status.ABORTED
                        ? result.getThrowable().map(Throwable::getMessage).orElse("")
                        : "";
        note(test, result.getStatus().name().toLowerCase(java.util.Locale.ROOT), reason);
    }

    @Override
    public synchronized void testPlanExecutionFinished(TestPlan testPlan) {
        try {
            if (out != null) {
                out.close();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private String place(TestIdentifier test) {
        boolean nested =
                test.getUniqueIdObject().getEngineId().stream()
                        .anyMatch(NestedHostEngine.ID::equals);
        if (!nested) {
            return here;
        }
        return System.getProperty(Place.PROPERTY, "").equals(Place.VTX) ? BOCHS : NESTED;
    }

    private synchronized void note(TestIdentifier test, String result, String reason) {
        if (out == null) {
            return;
        }
        try {
            out.write(
                    String.join(
                            "\t",
                            place(test),
                            result,
                            Needs.of(test.getTags()).name(),
                            className(test),
                            test.getDisplayName().replaceAll("\\s+", " "),
                            reason.replaceAll("\\s+", " ")));
            out.newLine();
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String className(TestIdentifier test) {
        return switch (test.getSource().orElse(null)) {
            case ClassSource source -> source.getClassName();
            case MethodSource source -> source.getClassName();
            case null, default -> "";
        };
    }
}
