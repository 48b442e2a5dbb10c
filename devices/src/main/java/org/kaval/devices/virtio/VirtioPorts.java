package org.kaval.devices.virtio;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.StateFields;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;
import org.kaval.linux.WakeUp;
import org.kaval.memory.GuestFault;

/// A console device with several ports (§5.3, `VIRTIO_CONSOLE_F_MULTIPORT`), each of which has a
/// name in the guest (Linux' `/dev/virtio-ports/NAME`) and is a Unix socket of the host.
///
/// One client at a time has a port, the others wait for it to go. The guest hears when one comes
/// and goes: Linux waits with what it writes until there is one, and reads the end behind what the
/// last has said. What a client says waits until the guest opens the port. A side that does not
/// read is waited for by its own port and by no other. What the guest sends when there is no client
/// is dropped.
///
/// No port is a console: port 0, which is one by its nature, is not there. {@link VirtioConsole} is
/// a device of its own, which says in its configuration how large the window is. In the message
/// that a device with several ports has for that, Linux had lines before columns until 6.14, and
/// §5.3.6.2 has them the other way round, so no device can do right by all of them.
///
/// One thread serves all ports, and blocks for nothing but events.
public final class VirtioPorts extends LinkedDevice {
    /// How many ports there can be: with two queues and their interrupts for each.
    public static final int MAX_PORTS = 15;

    /// How many descriptors a queue has.
    static final int QUEUE_SIZE = 64;

    static final long F_MULTIPORT = 1L << 1;

    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._:@+-]{1,64}");

    // struct virtio_console_config (§5.3.4)
    private static final int CONFIG_SIZE = 12;
    private static final int MAX_NR_PORTS = 4;

    private static final int TRANSMIT_OF_CONSOLE = 1;
    private static final long DOORBELL = 0; // others are NamedPort's

    private final List<Port> descriptions;
    private final Epoll epoll;
    private final List<NamedPort> ports = new ArrayList<>();
    private final ConfigSpace config = new ConfigSpace(CONFIG_SIZE);
    private @Nullable DeviceThread thread; // who activates and resets
    private boolean hearsDoorbell; // the thread's
    private volatile boolean holding; // the thread is to put back what it has

    /// A port.
    ///
    /// @param name in the guest: 1 to 64 letters, digits and `._:@+-`
    /// @param socket at most 107 bytes
    public record Port(String name, Path socket) {
        /// @throws IllegalArgumentException if it is no such name
        public Port {
            if (!isName(name)) {
                throw new IllegalArgumentException("no name of a port: " + name);
            }
        }

        /// Whether a port can have this name.
        public static boolean isName(String text) {
            return NAME.matcher(text).matches();
        }
    }

    private VirtioPorts(String name, List<Port> descriptions, Epoll epoll) {
        super(name);
        this.descriptions = List.copyOf(descriptions);
        this.epoll = epoll;
        config.set(MAX_NR_PORTS, Integer.BYTES, 1 + descriptions.size());
    }

    /// Makes one, and listens at the sockets, for this process's user only, until it is closed. A
    /// socket there that nobody listens at any more is replaced.
    ///
    /// @param name for threads and messages
    /// @param ports at most {@link #MAX_PORTS}, with different names
    /// @throws IOException if one has no path for a socket, or something else is there
    public static VirtioPorts open(String name, List<Port> ports) throws IOException {
        Set<String> names = new HashSet<>();
        if (ports.size() > MAX_PORTS || !ports.stream().allMatch(port -> names.add(port.name()))) {
            throw new IllegalArgumentException("too many ports, or two of one name: " + ports);
        }
        var made = new VirtioPorts(name, ports, Epoll.create());
        boolean done = false;
        try {
            var vector = new IoVector(IoVector.MAX_COUNT);
            for (Port port : ports) {
                int id = made.ports.size() + 1;
                made.ports.add(NamedPort.open(id, port.name(), port.socket(), made.epoll, vector));
            }
            done = true;
            return made;
        } finally {
            if (!done) {
                made.close();
            }
        }
    }

    /// Whether the guest has opened the port of that name. Any thread.
    public boolean isOpen(String port) {
        for (int i = 0; i < ports.size(); i++) {
            if (descriptions.get(i).name().equals(port)) {
                return ports.get(i).isOpen();
            }
        }
        throw new IllegalArgumentException("there is no port " + port);
    }

    @Override
    public int type() {
        return VirtioConsole.TYPE;
    }

    @Override
    public int pciClass() {
        return VirtioConsole.PCI_OTHER_COMMUNICATION;
    }

    @Override
    public long features() {
        return F_MULTIPORT;
    }

    /// Two for port 0, two to control, and two for each port (§5.3.2).
    @Override
    public List<Integer> queueSizes() {
        return Collections.nCopies(2 * (ports.size() + 2), QUEUE_SIZE);
    }

    @Override
    public int doorbellOf(int index) {
        return 0;
    }

    @Override
    public ConfigSpace config() {
        return config;
    }

    @Override
    public void activate(long features) {
        VirtioLink attached = link();
        var console = new DescriptorChain(attached.memory());
        PortControl control = (features & F_MULTIPORT) == 0 ? null : new PortControl(attached);
        ports.forEach(port -> port.activate(attached));
        thread =
                DeviceThread.start(
                        name(),
                        attached,
                        () -> step(attached.queue(TRANSMIT_OF_CONSOLE), console, control),
                        busy -> await(busy, attached.doorbell(0)));
    }

    private boolean step(VirtQueue queue, DescriptorChain console, @Nullable PortControl control) {
        if (holding) {
            holding = false;
            ports.forEach(NamedPort::putBack);
        }
        try {
            boolean more = drop(queue, console);
            return control == null ? more : serve(control) || more;
        } catch (GuestFault fault) {
            ports.forEach(NamedPort::forget); // their clients learn that it is over
            throw fault;
        }
    }

    /// What goes to a console that is not there.
    private static boolean drop(VirtQueue queue, DescriptorChain output) {
        if (!queue.takeOrAwait(output)) {
            return false;
        }
        queue.complete(output, 0);
        return true;
    }

    private boolean serve(PortControl control) {
        boolean more = control.hear();
        if (more) {
            heard(control);
        }
        for (int i = 0; i < ports.size(); i++) {
            more |= ports.get(i).step(control);
        }
        return more;
    }

    /// What is unknown, and what is about a port that is not there, has no meaning.
    private void heard(PortControl control) {
        boolean yes = control.value() != 0;
        if (control.event() == PortControl.DEVICE_READY) {
            if (yes) {
                ports.forEach(NamedPort::deviceReady);
            }
            return;
        }
        int index = control.id() - 1;
        if (index < 0 || index >= ports.size()) {
            return;
        }
        NamedPort port = ports.get(index);
        switch (control.event()) {
            case PortControl.PORT_READY -> port.ready(yes);
            case PortControl.PORT_OPEN -> port.open(yes);
            default -> {}
        }
    }

    private void await(boolean busy, WakeUp doorbell) throws ErrnoException {
        if (!hearsDoorbell) {
            hearsDoorbell = true;
            // like whoever waits for it, this does not read it: each ring is an edge
            epoll.add(doorbell.event().fd(), Epoll.IN | Epoll.EDGE, DOORBELL);
        }
        int count = epoll.await(busy ? 0 : -1);
        for (int i = 0; i < count; i++) {
            long token = epoll.token(i);
            if (token > DOORBELL) {
                ports.get((int) token - 1).clientChanged(epoll.events(i));
            } else if (token < DOORBELL) {
                ports.get((int) (-1 - token) - 1).clientsWait();
            }
        }
    }

    @Override
    public void reset() {
        if (thread != null) {
            thread.close();
            thread = null;
        }
        holding = false;
        ports.forEach(NamedPort::reset);
    }

    @Override
    public void hold() {
        holding = true;
        link().doorbell(0).signal();
    }

    @Override
    public void persist(StateFields state) {
        state.same("ports", ports.size(), "the number of ports of " + name());
        for (int i = 0; i < ports.size(); i++) {
            ports.get(i).persist(state.part("port%d".formatted(i)));
        }
    }

    @Override
    public void close() {
        ports.forEach(NamedPort::close);
        epoll.close();
    }
}
