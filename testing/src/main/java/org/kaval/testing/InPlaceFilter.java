package org.kaval.testing;

import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.launcher.PostDiscoveryFilter;

/// Takes away from Jupiter the tests that cannot run in place: they are the nested host's. Found by
/// JUnit as a service.
public final class InPlaceFilter implements PostDiscoveryFilter {
    private final Place place = Place.here();
    private final String asked = System.getProperty(Place.PROPERTY, "");

    /// For JUnit.
    public InPlaceFilter() {}

    @Override
    public FilterResult apply(TestDescriptor test) {
        boolean nested =
                test.getUniqueId().getEngineId().stream().anyMatch(NestedHostEngine.ID::equals);
        return FilterResult.includedIf(
                nested || !NestedHostEngine.isRunnable(test) || place.runs(Needs.of(test), asked),
                () -> "can run",
                () -> "not on " + place.label());
    }
}
