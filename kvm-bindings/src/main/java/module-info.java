/// The Linux and KVM ABI: the only module with native calls and raw addresses.
module org.kaval.kvm {
    requires static transitive org.jspecify;

    exports org.kaval.kvm;
    exports org.kaval.linux;
}
