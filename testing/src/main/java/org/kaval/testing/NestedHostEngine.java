package org.kaval.testing;

import java.util.ArrayList;
import java.util.List;
import org.junit.platform.engine.EngineDiscoveryRequest;
import org.junit.platform.engine.EngineExecutionListener;
import org.junit.platform.engine.ExecutionRequest;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestEngine;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.engine.support.descriptor.EngineDescriptor;
import org.kaval.testing.worker.Worker;

/// Runs tests that need KVM in a nested host. Found by JUnit as a service.
///
/// Discovery is Jupiter's own, of which the tests stay that {@link Place} sends away; so are the
/// names. Running them is a {@link NestedRun}; there is one nested host for all tests of this JVM.
public final class NestedHostEngine implements TestEngine {
    static final String ID = "kaval-nested-host";

    /// The nested host that this JVM has from its first test on, to its end: Surefire runs classes
    /// one by one when it has several JVMs for them.
    private static final class Kept {
        static final Workers WORKERS = new NestedWorker.Source();

        static {
            Runtime.getRuntime().addShutdownHook(new Thread(WORKERS::close));
        }
    }

    /// For JUnit.
    public NestedHostEngine() {}

    @Override
    public String getId() {
        return ID;
    }

    @Override
    public TestDescriptor discover(EngineDiscoveryRequest request, UniqueId id) {
        var root = new EngineDescriptor(id, "Nested host");
        String asked = request.getConfigurationParameters().get(Place.PROPERTY).orElse("");
        Place here = Place.here();
        TestDescriptor jupiter = Worker.jupiter().discover(request, id);
        for (TestDescriptor child : List.copyOf(jupiter.getChildren())) {
            jupiter.removeChild(child);
            root.addChild(child);
        }
        root.accept(test -> {
            if (isRunnable(test)
                    && !here.sendsAway(Needs.of(test), Needs.isAlsoOnVtX(test), asked)) {
                test.removeFromHierarchy();
            }
        });
        root.accept(TestDescriptor::prune);
        return root;
    }

    @Override
    public void execute(ExecutionRequest request) {
        EngineExecutionListener listener = request.getEngineExecutionListener();
        TestDescriptor root = request.getRootTestDescriptor();
        listener.executionStarted(root);
        if (!root.getChildren().isEmpty()) {
            String asked = request.getConfigurationParameters().get(Place.PROPERTY).orElse("");
            List<TestDescriptor> testClasses = new ArrayList<>(root.getChildren());
            if (asked.equals(Place.VTX)) {
                try (var workers = new BochsWorker.Source()) {
                    new NestedRun(request, workers).run(testClasses);
                }
            } else {
                new NestedRun(request, Kept.WORKERS).run(testClasses);
            }
        }
        listener.executionFinished(root, TestExecutionResult.successful());
    }

    /// Whether it is run as a whole: a test, or a method that stands for several.
    static boolean isRunnable(TestDescriptor test) {
        return test.isTest() || (test.mayRegisterTests() && test.getChildren().isEmpty());
    }
}
