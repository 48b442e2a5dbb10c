package org.kaval.testing;

import java.util.Set;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestTag;

/// What a test says that it needs, as JUnit's tags.
enum Needs {
    NOTHING,
    ANY_KVM,
    HARDWARE;

    private static final String KVM = "kvm";
    private static final String HARDWARE_VIRTUALIZATION = "hardware-virtualization";

    static Needs of(TestDescriptor test) {
        return of(test.getTags());
    }

    static Needs of(Set<TestTag> tags) {
        if (tags.contains(TestTag.create(HARDWARE_VIRTUALIZATION))) {
            return HARDWARE;
        }
        return tags.contains(TestTag.create(KVM)) ? ANY_KVM : NOTHING;
    }
}
