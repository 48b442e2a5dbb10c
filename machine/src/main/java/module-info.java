/// Puts a machine together and runs it: the embeddable API.
module org.kaval.machine {
    requires transitive org.kaval.devices;
    requires transitive org.kaval.vcpu;
    requires com.fasterxml.jackson.core;
    requires com.github.luben.zstd_jni;
    requires jdk.jfr;
    requires org.tukaani.xz;
    requires static transitive org.jspecify;

    exports org.kaval.machine;
    exports org.kaval.machine.acpi;
    exports org.kaval.machine.boot;
    exports org.kaval.machine.diagnosis;
    exports org.kaval.machine.snapshot;
    exports org.kaval.machine.trace;
}
