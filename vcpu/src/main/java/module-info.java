/// One virtual CPU: its thread, its exits, its state. Knows no device.
module org.kaval.vcpu {
    requires transitive org.kaval.kvm;
    requires static transitive org.jspecify;

    exports org.kaval.vcpu;
}
