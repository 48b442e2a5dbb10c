package org.kaval.machine;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.DeviceTimer;
import org.kaval.devices.Doorbells;
import org.kaval.devices.EventLoop;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.InterruptRoutes;
import org.kaval.devices.IrqfdLine;
import org.kaval.devices.KvmDoorbells;
import org.kaval.devices.KvmLevelLine;
import org.kaval.devices.LevelLine;
import org.kaval.devices.LoopTimer;
import org.kaval.devices.MessageInterrupts;
import org.kaval.devices.Persistent;
import org.kaval.devices.SharedLine;
import org.kaval.devices.WantedLine;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.virtio.VirtQueue;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;
import org.kaval.machine.acpi.Aml;
import org.kaval.machine.flight.FlightEvents;
import org.kaval.machine.trace.Trace;
import org.kaval.machine.trace.TraceKind;
import org.kaval.machine.trace.TracedExits;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.ExitHandler;
import org.kaval.vcpu.Vcpu;
import org.kaval.vcpu.VcpuExit;

/// The parts of a machine, and the seam between its vCPUs and its devices.
///
/// Built by one thread. As an {@link ExitHandler} it is called on the vCPUs' threads; {@link #end}
/// may be called by any.
final class Machine implements MachineContext, ExitHandler, AutoCloseable {
    private static final Logger LOG = System.getLogger(Machine.class.getName());

    /// ISA interrupts that no device of the mainboard has; those first that no driver probes.
    private static final List<Integer> FREE_INTERRUPTS = List.of(5, 6, 7, 10, 11, 14, 15, 3);

    private final KvmVm vm;
    private final GuestMemory memory;
    private final Bus ports = new Bus("port");
    private final Bus mmio = new Bus("mmio");
    private final CompletableFuture<VmOutcome> outcome = new CompletableFuture<>();
    private final Deque<Closing> closings = new ArrayDeque<>();
    private final Map<Integer, SharedLine> levelLines = new ConcurrentHashMap<>();
    private final List<Aml.Term> described = new ArrayList<>();
    private final List<GuestRange> pciMemory;
    private final PciBus pci;
    private final Doorbells doorbells;
    private final InterruptRoutes interruptRoutes;
    private final List<String> kernelArguments = new ArrayList<>();
    private long nextMmio = AddressMap.FREE_MMIO.base();
    private int interruptsGiven;
    private final Trace trace;
    private final ExitHandler exitHandler;
    private final FlightEvents flightEvents;
    private final List<EdgeLine> edgeLines = new CopyOnWriteArrayList<>();
    private final Map<String, VirtQueue> queues = new ConcurrentHashMap<>();
    private final Map<String, Persistent> persistent = new LinkedHashMap<>();
    private volatile List<Vcpu> vcpus = List.of();
    private volatile @Nullable Observer observer;
    private @Nullable EventLoop eventLoop;

    private record EdgeLine(int gsi, IrqfdLine line) {}

    /// Takes over `vm` and `memory`.
    ///
    /// @param pciMemory the addresses that go to the PCI bus
    /// @param trace is closed with the machine
    Machine(KvmVm vm, GuestMemory memory, List<GuestRange> pciMemory, Trace trace) {
        this.vm = vm;
        this.memory = memory;
        this.pciMemory = pciMemory;
        this.doorbells = new KvmDoorbells(vm);
        this.interruptRoutes = new InterruptRoutes(vm);
        this.pci = new PciBus(ports, AddressMap.PCI_PORTS, mmio, pciMemory, this::levelLine);
        this.trace = trace;
        this.exitHandler = trace.isOn() ? new TracedExits(this, ports, mmio, trace) : this;
        if (trace.isOn(TraceKind.PCI)) {
            pci.observe(TracedExits.pci(trace));
        }
        this.flightEvents = FlightEvents.of(this::vcpus, this::interruptCounts, this::queueCounts);
    }

    /// Gives the machine its interrupt controllers, its timer and its RAM.
    void setUp() throws ErrnoException {
        // first: the irqchip's devices leave the kernel with a grace period (SRCU) to end, which a
        // later change of the memory slots waits for: 7 ms were seen, against 0.1 ms in this order
        memory.attach(vm);
        if (vm.check(Capability.SET_TSS_ADDR) > 0) {
            vm.setTssAddress(AddressMap.VTX_TASK_STATE);
        }
        if (vm.check(Capability.SET_IDENTITY_MAP_ADDR) > 0) {
            vm.setIdentityMapAddress(AddressMap.VTX_IDENTITY_MAP);
        }
        vm.createIrqchip();
        vm.createPit();
    }

    /// Makes a vCPU, which is paused.
    Vcpu addVcpu(int index, int apicId) throws IOException {
        Vcpu vcpu = Vcpu.start(index, vm.createVcpu(apicId), exitHandler);
        var all = new ArrayList<>(vcpus);
        all.add(vcpu);
        vcpus = List.copyOf(all);
        return vcpu;
    }

    List<Vcpu> vcpus() {
        return vcpus;
    }

    /// Says who looks at the guest when it dies.
    void observeWith(Observer newObserver) {
        observer = newObserver;
    }

    /// How often vCPUs left the guest, by the kernel's name of the reason.
    Map<String, Long> exitCounts() {
        var sum = new TreeMap<String, Long>();
        for (Vcpu vcpu : vcpus) {
            vcpu.statistics()
                    .counts()
                    .forEach((reason, count) -> sum.merge(reason, count, Long::sum));
        }
        return sum;
    }

    /// How often devices pulled interrupt lines, by their numbers.
    Map<Integer, Long> interruptCounts() {
        var counts = new TreeMap<Integer, Long>();
        edgeLines.forEach(edge -> counts.merge(edge.gsi, edge.line.pulses(), Long::sum));
        levelLines.forEach((gsi, line) -> counts.merge(gsi, line.rises(), Long::sum));
        counts.values().removeIf(count -> count == 0);
        return counts;
    }

    @Override
    public void count(String device, List<VirtQueue> counted) {
        counted.forEach(queue -> queues.put(device + " " + queue, queue));
    }

    @Override
    public void persist(String name, Persistent part) {
        String unique = name;
        for (int i = 2; persistent.containsKey(unique); i++) {
            unique = name + "#" + i;
        }
        persistent.put(unique, part);
    }

    /// What devices have said by {@link #persist}, in this order.
    Map<String, Persistent> persistent() {
        return Collections.unmodifiableMap(persistent);
    }

    KvmVm kvm() {
        return vm;
    }

    private Map<String, Long> queueCounts() {
        var counts = new TreeMap<String, Long>();
        queues.forEach((name, queue) -> counts.put(name, queue.requests()));
        return counts;
    }

    /// Takes down what has become of the machine, if somebody records it.
    void happened(String what) {
        flightEvents.happened(what);
    }

    CompletableFuture<VmOutcome> outcome() {
        return outcome;
    }

    @Override
    public Bus ports() {
        return ports;
    }

    @Override
    public Bus mmio() {
        return mmio;
    }

    @Override
    public GuestMemory memory() {
        return memory;
    }

    @Override
    public InterruptLine interruptLine(int gsi) throws ErrnoException {
        IrqfdLine line = IrqfdLine.open(vm, gsi);
        onClose(line::close);
        edgeLines.add(new EdgeLine(gsi, line));
        return line;
    }

    @Override
    public InterruptLine wantedLine(int gsi) {
        return new WantedLine(vm, levelLine(gsi), gsi);
    }

    @Override
    public PciBus pci() {
        return pci;
    }

    @Override
    public synchronized LevelLine levelLine(int gsi) {
        if (gsi < 0 || gsi >= InterruptRoutes.PINS) {
            throw new IllegalArgumentException("no interrupt line: " + gsi);
        }
        return levelLines
                .computeIfAbsent(gsi, line -> new SharedLine(new KvmLevelLine(vm, line)))
                .input();
    }

    @Override
    public MessageInterrupts messageInterrupts() {
        return interruptRoutes;
    }

    @Override
    public Doorbells doorbells() {
        return doorbells;
    }

    @Override
    public GuestRange freeMmio(long size) {
        long base = (nextMmio + size - 1) & -size;
        if (Long.bitCount(size) != 1 || !AddressMap.FREE_MMIO.holds(base, size)) {
            throw new IllegalArgumentException("no room for 0x%x bytes".formatted(size));
        }
        nextMmio = base + size;
        return new GuestRange(base, size);
    }

    @Override
    public int freeInterrupt() {
        return FREE_INTERRUPTS.get(interruptsGiven++ % FREE_INTERRUPTS.size());
    }

    @Override
    public void kernelArgument(String word) {
        kernelArguments.add(word);
    }

    /// What devices have said by {@link #kernelArgument}.
    List<String> kernelArguments() {
        return List.copyOf(kernelArguments);
    }

    @Override
    public DeviceTimer timer(String name) throws ErrnoException {
        LoopTimer timer = LoopTimer.open(eventLoop(), name);
        onClose(timer::close);
        return timer;
    }

    @Override
    public void describe(Aml.Term device) {
        described.add(device);
    }

    /// What devices have said by {@link #describe}.
    List<Aml.Term> described() {
        return List.copyOf(described);
    }

    /// The addresses that go to the PCI bus.
    List<GuestRange> pciMemory() {
        return pciMemory;
    }

    @Override
    public EventLoop eventLoop() throws ErrnoException {
        EventLoop loop = eventLoop;
        if (loop == null) {
            loop = EventLoop.start("event-loop", this::broken);
            eventLoop = loop;
        }
        return loop;
    }

    @Override
    public void onClose(Closing resource) {
        closings.push(resource);
    }

    @Override
    public Trace trace() {
        return trace;
    }

    @Override
    public void end(VmOutcome how) {
        if (outcome.complete(how)) {
            happened(how.toString());
        }
        vcpus.forEach(Vcpu::requestStop);
    }

    /// Ends the machine as the guest has come to nothing; what it is at is kept for a diagnosis.
    /// Not for a vCPU's thread.
    void endKept(VmOutcome how) {
        Observer looking = observer;
        if (looking != null) {
            looking.keep();
        }
        end(how);
    }

    @Override
    public int portRead(int port, int size) {
        return (int) ports.read(port, size);
    }

    @Override
    public void portWrite(int port, int size, int value) {
        ports.write(port, size, Integer.toUnsignedLong(value));
    }

    @Override
    public long mmioRead(long address, int size) {
        return mmio.read(address, size);
    }

    @Override
    public void mmioWrite(long address, int size, long value) {
        mmio.write(address, size, value);
    }

    @Override
    public boolean exited(Vcpu vcpu, VcpuExit exit) {
        VmOutcome how =
                switch (exit) {
                    case VcpuExit.SystemEvent(int type, _)
                            when type == KvmExit.SYSTEM_EVENT_SHUTDOWN ->
                            new VmOutcome.PoweredOff();
                    case VcpuExit.SystemEvent(int type, _)
                            when type == KvmExit.SYSTEM_EVENT_RESET ->
                            new VmOutcome.Rebooted();
                    case VcpuExit.SystemEvent _,
                            VcpuExit.Halted _,
                            VcpuExit.Shutdown _,
                            VcpuExit.KvmInternalError _,
                            VcpuExit.FailedEntry _,
                            VcpuExit.Debug _,
                            VcpuExit.RunFailed _,
                            VcpuExit.Other _ ->
                            new VmOutcome.Crashed(
                                    vcpu.index(), exit.toString(), crashDetails(vcpu, exit));
                };
        end(how);
        return false;
    }

    @Override
    public void broken(Vcpu vcpu, Throwable bug) {
        LOG.log(
                Level.ERROR,
                "vcpu {0} failed\n{1}",
                vcpu.index(),
                String.join("\n", crashDetails(vcpu, null)));
        broken(bug);
    }

    @Override
    public void broken(Throwable bug) {
        outcome.completeExceptionally(bug);
        vcpus.forEach(Vcpu::requestStop);
    }

    /// Stops the vCPUs and waits for their threads.
    void stopVcpus() {
        vcpus.forEach(Vcpu::requestStop);
        boolean interrupted = false;
        for (Vcpu vcpu : vcpus) {
            boolean joined = false;
            while (!joined) {
                try {
                    vcpu.join();
                    joined = true;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /// Gives everything back: first what can still call, then what it calls, the memory last. Once.
    @Override
    public void close() {
        stopVcpus();
        flightEvents.close();
        if (eventLoop != null) {
            eventLoop.close();
        }
        while (!closings.isEmpty()) {
            closings.pop().close();
        }
        trace.close();
        vm.close();
        memory.close();
    }

    /// @param exit why it cannot go on; null for a bug of this program
    private List<String> crashDetails(Vcpu vcpu, @Nullable VcpuExit exit) {
        var details = new ArrayList<String>();
        try {
            details.addAll(vcpu.call(kvm -> CrashReport.of(kvm, memory, vcpu.statistics())));
            Observer looking = observer;
            if (exit != null && looking != null) {
                details.addAll(looking.look(vcpu, exit).lines());
            }
        } catch (IOException e) {
            details.add("its state cannot be read: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return details;
    }
}
