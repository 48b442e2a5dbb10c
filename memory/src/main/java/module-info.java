/// Guest-physical memory: what backs it, checked access to it, and which pages have changed.
module org.kaval.memory {
    requires transitive org.kaval.kvm;
    requires static transitive org.jspecify;

    exports org.kaval.memory;
}
