/// The device model: the bus, interrupt lines, the event loop, and the devices.
@SuppressWarnings("module") // org.kaval.machine is above this module, and not there yet
module org.kaval.devices {
    requires transitive org.kaval.memory;
    requires static transitive org.jspecify;

    exports org.kaval.devices;
    exports org.kaval.devices.block;
    exports org.kaval.devices.compression to
            org.kaval.machine;
    exports org.kaval.devices.net;
    exports org.kaval.devices.pci;
    exports org.kaval.devices.platform;
    exports org.kaval.devices.virtio;
}
