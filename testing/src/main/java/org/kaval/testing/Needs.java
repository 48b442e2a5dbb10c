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

    private static final String ALSO_ON_VT_X = "also-on-vt-x";

    /// Whether it runs on emulated VT-x, too.
    static boolean isAlsoOnVtX(TestDescriptor test) {
        return test.getTags().contains(TestTag.create(ALSO_ON_VT_X));
    }

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
