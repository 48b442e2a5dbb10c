package org.kaval.cli;

import java.io.IOException;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import org.kaval.devices.net.NetBackend;
import org.kaval.devices.net.Passt;
import org.kaval.devices.net.PcapFile;
import org.kaval.devices.net.SocketBackend;
import org.kaval.devices.net.TapBackend;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.devices.virtio.VirtioNet;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.VmBuilder;

/// The network devices of a guest. Each machine has its own: when the guest restarts, the other end
/// of the cable goes and comes.
final class GuestNetworks {
    private final List<NetSpec> specs;
    private final List<PublishedPort> ports;
    private final Map<String, VirtioNet> devices = new ConcurrentSkipListMap<>();

    GuestNetworks(List<NetSpec> specs, List<PublishedPort> ports) {
        this.specs = specs;
        this.ports = ports;
    }

    /// What each of them is.
    List<NetSpec> specs() {
        return specs;
    }

    /// Those of the machine that was built last, by name; as many as it has by now.
    Map<String, VirtioNet> devices() {
        return Collections.unmodifiableMap(devices);
    }

    /// Gives each machine that `builder` builds what they say.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        for (int i = 0; i < specs.size(); i++) {
            NetSpec spec = specs.get(i);
            String name = "virtio-net%d".formatted(i);
            builder.device(machine -> {
                VirtioNet device = open(name, spec);
                devices.put(name, device);
                transport.apply(device).attach(machine);
            });
        }
    }

    private VirtioNet open(String name, NetSpec spec) throws IOException {
        NetBackend backend =
                switch (spec.kind()) {
                    case USER -> Passt.start(ports.stream().map(PublishedPort::port).toList());
                    case TAP -> TapBackend.open(spec.target(), spec.queues());
                    case BRIDGE -> TapBackend.onBridge(spec.target(), spec.queues());
                    case SOCKET -> SocketBackend.open(spec.path("socket", spec.target()));
                };
        boolean done = false;
        try {
            if (backend instanceof TapBackend tap) {
                useVhost(tap, spec.vhost());
            }
            var device = new VirtioNet(name, backend, options(spec));
            done = true;
            return device;
        } finally {
            if (!done) {
                backend.close();
            }
        }
    }

    private static void useVhost(TapBackend tap, NetSpec.Vhost wish) throws IOException {
        if (wish == NetSpec.Vhost.OFF) {
            return;
        }
        try {
            tap.useVhost();
        } catch (HostUnsupportedException e) {
            if (wish == NetSpec.Vhost.ON) {
                throw e;
            }
        }
    }

    private static VirtioNet.Options options(NetSpec spec) throws IOException {
        PcapFile pcap =
                spec.pcap().isEmpty() ? null : PcapFile.create(spec.path("pcap", spec.pcap()));
        return new VirtioNet.Options(spec.mac(), spec.mtu(), spec.frames(), spec.rate(), pcap);
    }
}
