package org.kaval.cli;

import java.io.IOException;
import java.util.List;
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
import org.kaval.machine.trace.TraceKind;

/// The network devices of a guest. Each machine has its own: when the guest restarts, the other end
/// of the cable goes and comes.
record GuestNetworks(List<NetSpec> specs, List<PublishedPort> ports) {
    /// Whether the host's kernel moves frames where nothing is said of that.
    private static final boolean BY_ITSELF = false;

    /// Gives each machine that `builder` builds what they say.
    void attachTo(VmBuilder builder, Function<VirtioDevice, DeviceFactory> transport) {
        for (int i = 0; i < specs.size(); i++) {
            NetSpec spec = specs.get(i);
            String name = "virtio-net%d".formatted(i);
            builder.device(machine -> {
                boolean traced = machine.trace().isOn(TraceKind.VIRTIO);
                transport.apply(open(name, spec, traced)).attach(machine);
            });
        }
    }

    /// @param traced whether what happens in the rings is to be seen
    private VirtioNet open(String name, NetSpec spec, boolean traced) throws IOException {
        NetBackend backend =
                switch (spec.kind()) {
                    case USER -> Passt.start(ports.stream().map(PublishedPort::port).toList());
                    case TAP -> TapBackend.open(spec.target(), spec.queues());
                    case BRIDGE -> TapBackend.onBridge(spec.target(), spec.queues());
                    case SOCKET -> SocketBackend.open(spec.path("socket", spec.target()));
                };
        boolean done = false;
        try {
            VirtioNet.Options options = options(spec);
            if (backend instanceof TapBackend tap) {
                choosePath(spec, tap, options.isForVhost() && !traced);
            }
            var device = new VirtioNet(name, backend, options);
            done = true;
            return device;
        } finally {
            if (!done) {
                backend.close();
            }
        }
    }

    /// Leaves frames to the host's kernel where that is wanted, or can be.
    private static void choosePath(NetSpec spec, TapBackend tap, boolean possible)
            throws HostUnsupportedException {
        switch (spec.vhost()) {
            case OFF -> {}
            case ON -> tap.useVhost();
            case AUTO -> {
                if (possible && BY_ITSELF) {
                    try {
                        tap.useVhost();
                    } catch (HostUnsupportedException e) {
                        // then this process moves them, which is slower and does the same
                    }
                }
            }
        }
    }

    private static VirtioNet.Options options(NetSpec spec) throws IOException {
        PcapFile pcap =
                spec.pcap().isEmpty() ? null : PcapFile.create(spec.path("pcap", spec.pcap()));
        return new VirtioNet.Options(spec.mac(), spec.mtu(), spec.frames(), spec.rate(), pcap);
    }
}
