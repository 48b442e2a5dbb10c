package org.kaval.testing;

import java.nio.file.Files;
import java.nio.file.Path;

/// What `/dev/kvm` is where this JVM runs, as far as it decides where tests run.
///
/// The modules that are tested tell it better (`org.kaval.kvm.KvmKind`), but they need this one for
/// their tests.
enum Place {
    NO_KVM("no KVM", false, false),
    VT_X("VT-x", true, true),
    AMD_V("AMD-V", true, true),
    /// PVM, or what nobody knows: it runs small payloads at least.
    OTHER_KVM("PVM", true, false);

    /// A configuration parameter of JUnit or system property: where tests are to run.
    ///
    /// | value         | in place              | in the nested host                                |
    /// |---------------|-----------------------|---------------------------------------------------|
    /// | unset, `both` | what the machine can  | what needs KVM, where KVM in place is no hardware |
    /// | `here`        | what the machine can  | nothing                                           |
    /// | `away`        | nothing               | what needs KVM, where KVM in place is no hardware |
    /// | `nested`      | nothing               | what needs KVM                                    |
    /// | `vtx`         | nothing               | in the one with VT-x: what is {@link AlsoOnVtX}   |
    static final String PROPERTY = "kaval.test.place";

    static final String HERE = "here";
    static final String AWAY = "away";
    static final String NESTED = "nested";
    static final String VTX = "vtx";

    private final String name;
    private final boolean runsPayloads;
    private final boolean runsSystems;

    Place(String name, boolean runsPayloads, boolean runsSystems) {
        this.name = name;
        this.runsPayloads = runsPayloads;
        this.runsSystems = runsSystems;
    }

    /// What this machine has.
    static Place here() {
        return in(Path.of("/"));
    }

    /// @param root of the file system with `dev` and `sys`
    static Place in(Path root) {
        if (!Files.exists(root.resolve("dev/kvm"))) {
            return NO_KVM;
        }
        if (Files.exists(root.resolve("sys/module/kvm_intel"))) {
            return VT_X;
        }
        return Files.exists(root.resolve("sys/module/kvm_amd")) ? AMD_V : OTHER_KVM;
    }

    /// What reports call it.
    String label() {
        return name;
    }

    /// Whether a test runs in place.
    ///
    /// @param asked the value of {@link #PROPERTY}
    boolean runs(Needs needs, String asked) {
        if (asked.equals(AWAY) || asked.equals(NESTED) || asked.equals(VTX)) {
            return false;
        }
        return switch (needs) {
            case NOTHING -> true;
            case ANY_KVM -> runsPayloads;
            case HARDWARE -> runsSystems;
        };
    }

    /// Whether a test is for a nested host, too or instead.
    ///
    /// @param alsoOnVtX whether it says that it is {@link AlsoOnVtX}
    /// @param asked the value of {@link #PROPERTY}
    boolean sendsAway(Needs needs, boolean alsoOnVtX, String asked) {
        if (needs == Needs.NOTHING) {
            return false;
        }
        return switch (asked) {
            case HERE -> false;
            case NESTED -> true;
            case VTX -> alsoOnVtX;
            default -> !runsSystems;
        };
    }
}
