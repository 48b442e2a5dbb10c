/// What a test says about the machine that it needs, and how it gets one.
module org.kaval.testing {
    requires org.junit.jupiter.params;
    requires org.junit.platform.commons;
    requires org.kaval.nested;
    requires org.opentest4j;
    requires transitive org.junit.jupiter.api;
    requires transitive org.junit.platform.engine;
    requires transitive org.junit.platform.launcher;
    requires static org.jspecify;

    exports org.kaval.testing;

    uses org.junit.platform.engine.TestEngine;

    provides org.junit.platform.engine.TestEngine with
            org.kaval.testing.NestedHostEngine;
    provides org.junit.platform.launcher.PostDiscoveryFilter with
            org.kaval.testing.InPlaceFilter;
    provides org.junit.platform.launcher.TestExecutionListener with
            org.kaval.testing.PlaceListener;
}
