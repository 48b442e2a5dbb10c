package org.kaval.machine;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.DeviceTimer;
import org.kaval.devices.InputFilter;
import org.kaval.devices.SerialConsole;
import org.kaval.devices.StateException;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.kvm.Capability;
import org.kaval.kvm.CpuidEntry;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.Mmap;
import org.kaval.machine.acpi.AcpiTables;
import org.kaval.machine.boot.BootContext;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.boot.MemoryMap;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.machine.snapshot.CpuFeatures;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotException;
import org.kaval.machine.trace.Trace;
import org.kaval.machine.trace.TraceKind;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.memory.HostMemory;
import org.kaval.vcpu.CpuidModel;
import org.kaval.vcpu.EntryState;
import org.kaval.vcpu.Topology;
import org.kaval.vcpu.Vcpu;

/// Describes a machine and builds it. One thread. It may build several, one after another: so is a
/// machine restarted whose guest asks for it.
public final class VmBuilder {
    private static final Logger LOG = System.getLogger(VmBuilder.class.getName());
    private static final Duration PANIC_GRACE = Duration.ofSeconds(2);
    private static final long MIN_MEMORY = 1L << 20;

    /// Half of what processors with 46 bits of physical addresses can have.
    private static final long MAX_MEMORY = 1L << 45;

    private Topology topology = Topology.ofCores(1);
    private long memoryBytes = 128L << 20;
    private Backing backing = Backing.anonymous();
    private @Nullable BootSource bootSource;
    private OutputStream serialOutput = OutputStream.nullOutputStream();
    private @Nullable Fd serialInput;
    private @Nullable InputFilter inputFilter;
    private @Nullable Function<VirtioDevice, DeviceFactory> consoleTransport;
    private boolean endsOnPanic = true;
    private boolean prefaults;
    private Path kvmDevice = Kvm.DEVICE;
    private @Nullable Path symbols;
    private Set<TraceKind> traceKinds = Set.of();
    private OutputStream traceOutput = OutputStream.nullOutputStream();
    private Duration silenceLimit = Duration.ZERO;
    private @Nullable Consumer<Diagnosis> silenceAction;
    private final List<DeviceFactory> devices = new ArrayList<>();

    VmBuilder() {}

    /// One socket with `count` cores; 1 unless said otherwise.
    ///
    /// @param count 1 to {@link Topology#MAX_VCPUS}, and no more than the host's KVM allows
    public VmBuilder cpus(int count) {
        return cpus(1, count, 1);
    }

    /// How the vCPUs are arranged.
    ///
    /// @param cores per socket
    /// @param threads per core
    public VmBuilder cpus(int sockets, int cores, int threads) {
        try {
            topology = new Topology(sockets, cores, threads);
        } catch (IllegalArgumentException e) {
            throw new ConfigException("cpus", String.valueOf(e.getMessage()));
        }
        return this;
    }

    /// How much RAM; 128 MiB unless said otherwise. The host commits what the guest touches.
    ///
    /// @param bytes whole pages of 4 KiB, 1 MiB at least
    public VmBuilder memory(long bytes) {
        if (bytes < MIN_MEMORY || bytes > MAX_MEMORY) {
            throw new ConfigException(
                    "memory",
                    "%d bytes; from %d MiB to %d TiB is possible"
                            .formatted(bytes, MIN_MEMORY >> 20, MAX_MEMORY >> 40));
        }
        if (bytes % Mmap.PAGE_SIZE != 0) {
            throw new ConfigException(
                    "memory", "%d bytes are not a whole number of 4 KiB pages".formatted(bytes));
        }
        memoryBytes = bytes;
        return this;
    }

    /// What the RAM is made of; anonymous memory unless said otherwise.
    public VmBuilder memoryBacking(Backing newBacking) {
        backing = newBacking;
        return this;
    }

    /// What is booted; it has to be said.
    public VmBuilder boot(BootSource source) {
        bootSource = source;
        return this;
    }

    /// Where the output of the first serial port goes, nowhere unless said otherwise. The stream
    /// stays the caller's; one thread writes to it, and it may block.
    public VmBuilder serialOutput(OutputStream sink) {
        serialOutput = sink;
        return this;
    }

    /// Where the input of the first serial port comes from; {@link Vm#typeSerial} is not used then.
    /// The descriptor stays the caller's, who closes it after the machine.
    public VmBuilder serialInput(Fd source) {
        serialInput = source;
        inputFilter = null;
        return this;
    }

    /// The same, for a person who types: `filter` sees all input before the guest does. Up to 1 MiB
    /// waits for a guest that does not read, so that the filter sees what comes next.
    public VmBuilder serialInput(Fd source, InputFilter filter) {
        serialInput = source;
        inputFilter = filter;
        return this;
    }

    /// Gives the guest a virtio console (Linux' `hvc0`) beside its first serial port. Both lead to
    /// the same place, and the input is the console's as soon as the guest prints something there.
    ///
    /// @param transport {@link Virtio#pci}, for example
    public VmBuilder virtioConsole(Function<VirtioDevice, DeviceFactory> transport) {
        consoleTransport = transport;
        return this;
    }

    /// Whether a guest whose kernel says that it has panicked is ended two seconds later, unless it
    /// ends itself before; so it is unless said otherwise. If not, it has nobody to say that to.
    public VmBuilder endOnPanic(boolean ends) {
        endsOnPanic = ends;
        return this;
    }

    /// Whether a restored guest's memory is read from its file in the background, and not only
    /// where the guest touches it; it is not unless said otherwise.
    public VmBuilder prefault(boolean wanted) {
        prefaults = wanted;
        return this;
    }

    /// Adds a device of the caller's own.
    public VmBuilder device(DeviceFactory factory) {
        devices.add(factory);
        return this;
    }

    /// Where KVM is; {@link Kvm#DEVICE} unless said otherwise.
    public VmBuilder kvmDevice(Path device) {
        kvmDevice = device;
        return this;
    }

    /// Where the names of the guest's code are, for a diagnosis: an ELF file or a `System.map`.
    /// Unless said otherwise, those of a kernel are looked for beside it.
    public VmBuilder symbols(Path file) {
        symbols = file;
        return this;
    }

    /// Calls `action` with a diagnosis if the guest has run for `limit` and not sent a byte to its
    /// serial port or virtio console; once, on a thread of its own. A guest that has sent any is
    /// left alone.
    public VmBuilder onSilence(Duration limit, Consumer<Diagnosis> action) {
        if (!limit.isPositive()) {
            throw new ConfigException("silence", limit + " is not a time to wait");
        }
        silenceLimit = limit;
        silenceAction = action;
        return this;
    }

    /// Takes down what the guest does to its devices, a line each. The stream stays the caller's;
    /// one thread writes to it, and it may block: what it cannot take in time is left out, and
    /// counted.
    public VmBuilder trace(Set<TraceKind> kinds, OutputStream output) {
        traceKinds = Set.copyOf(kinds);
        traceOutput = output;
        return this;
    }

    /// Builds the machine, ready to {@link Vm#start}.
    ///
    /// @throws ConfigException if a setting makes no sense
    /// @throws HostUnsupportedException if the host cannot do it
    /// @throws IOException if the host refused something, or what is to be booted cannot be read
    public Vm build() throws IOException {
        BootSource source = bootSource;
        if (source == null) {
            throw new ConfigException("boot", "nothing to boot");
        }
        Topology vcpus = topology;
        return assemble(
                new Plan(
                        vcpus,
                        AddressMap.ram(memoryBytes),
                        ram -> GuestMemory.allocate(ram, backing),
                        source.description(),
                        false),
                kvm -> CpuidModel.physicalAddressBits(kvm.supportedCpuid()),
                (kvm, machine) -> {
                    AcpiTables tables = Mainboard.writeTables(machine, vcpus);
                    createVcpus(kvm, machine);
                    machine.vcpus().getFirst().call(entry(source, machine, tables));
                });
    }

    /// Builds a machine that goes on where the one in a snapshot was, when it is {@link Vm#start
    /// started}. Memory, processors and what was booted are the snapshot's; devices are added as
    /// they were to the other, in the same order. Memory comes from the snapshot's file when the
    /// guest touches it, so any number of machines may be restored from one snapshot and share what
    /// they do not write; the file may be replaced or deleted, but not cut short.
    ///
    /// Time has passed: the guest's clocks are ahead by as much as the host's.
    ///
    /// @throws org.kaval.machine.snapshot.SnapshotException if it is not whole, or this machine has
    ///   other devices
    /// @throws HostUnsupportedException if the processor, or KVM, lacks something that it uses
    /// @throws IOException if a file cannot be read, or the host refused something
    public Vm restore(Path directory) throws IOException {
        return restore(Snapshot.read(directory));
    }

    /// The same of a snapshot that has been read.
    public Vm restore(Snapshot snapshot) throws IOException {
        try {
            return assemble(
                    new Plan(
                            snapshot.topology(),
                            snapshot.memory(),
                            _ -> snapshot.openMemory(),
                            snapshot.boot(),
                            true),
                    _ -> snapshot.cpu().addressBits(),
                    (kvm, machine) -> {
                        Topology vcpus = snapshot.topology();
                        for (int i = 0; i < vcpus.vcpus(); i++) {
                            machine.addVcpu(i, vcpus.apicId(i));
                        }
                        checkFeatures(kvm, machine, snapshot);
                        SavedMachine.restore(machine, snapshot.state());
                        if (prefaults) {
                            Prefault.start(machine);
                        }
                    });
        } catch (StateException e) {
            throw new SnapshotException(snapshot.stateFile(), String.valueOf(e.getMessage()));
        }
    }

    /// The same of a machine that runs.
    Vm restore(MachineImage original) throws IOException {
        Map<String, Object> state = original.state();
        CpuFeatures cpu = CpuFeatures.of(SavedMachine.vcpuState(state, 0).cpuid());
        Topology vcpus = original.topology();
        try {
            return assemble(
                    new Plan(
                            vcpus,
                            original.ranges(),
                            _ -> original.takeMemory(),
                            original.boot(),
                            true),
                    _ -> cpu.addressBits(),
                    (_, machine) -> {
                        for (int i = 0; i < vcpus.vcpus(); i++) {
                            machine.addVcpu(i, vcpus.apicId(i));
                        }
                        SavedMachine.restore(machine, state);
                        if (prefaults) {
                            Prefault.start(machine);
                        }
                    });
        } catch (StateException e) {
            throw new IOException("not a clone: " + e.getMessage(), e);
        }
    }

    /// Where a machine's memory comes from.
    private interface MemorySource {
        GuestMemory open(List<GuestRange> ram) throws IOException;
    }

    /// What a machine is, whether it is booted or restored.
    private record Plan(
            Topology topology,
            List<GuestRange> ram,
            MemorySource memory,
            BootDescription boot,
            boolean restored) {
        long memoryBytes() {
            return ram.stream().mapToLong(GuestRange::size).sum();
        }
    }

    /// How many bits a guest's physical addresses have.
    private interface AddressBits {
        int of(Kvm kvm) throws IOException;
    }

    /// Gives a machine what it begins with.
    private interface Contents {
        void fill(Kvm kvm, Machine machine) throws IOException, InterruptedException;
    }

    private Vm assemble(Plan plan, AddressBits addressBits, Contents contents) throws IOException {
        checkHostMemory(plan.memoryBytes());
        try (Kvm kvm = Kvm.open(kvmDevice)) {
            checkCapabilities(kvm, plan.topology);
            Machine machine = open(kvm, plan, addressBits.of(kvm));
            boolean built = false;
            try {
                Mainboard board = attachDevices(machine);
                contents.fill(kvm, machine);
                if (serialInput != null) {
                    board.console().readFrom(serialInput, machine.eventLoop());
                }
                var observer = new Observer(machine, board, plan.boot, symbols);
                machine.observeWith(observer);
                var vm =
                        new Vm(
                                machine,
                                board,
                                observer,
                                silenceWatch(machine, board, observer),
                                new Vm.Origin(kvmDevice, plan.topology, plan.restored));
                built = true;
                return vm;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while a machine was built");
            } finally {
                if (!built) {
                    machine.close();
                }
            }
        }
    }

    /// What this host makes of CPUID is not always what it was told, so a vCPU is asked.
    private static void checkFeatures(Kvm kvm, Machine machine, Snapshot snapshot)
            throws IOException, InterruptedException {
        boolean tscDeadline = kvm.check(Capability.TSC_DEADLINE_TIMER) > 0;
        var model = new CpuidModel(kvm.supportedCpuid(), snapshot.topology(), tscDeadline, 0);
        CpuFeatures own =
                machine.vcpus()
                        .getFirst()
                        .call(vcpu -> {
                            vcpu.setCpuid(model.forVcpu(0));
                            return CpuFeatures.of(vcpu.getCpuid());
                        });
        List<String> missing = snapshot.cpu().missingFrom(own);
        if (!missing.isEmpty()) {
            throw new HostUnsupportedException(
                    "%s: its guest uses what this host's processor or KVM has not: %s"
                            .formatted(snapshot.directory(), String.join(", ", missing)));
        }
    }

    private @Nullable SilenceWatch silenceWatch(Machine machine, Mainboard board, Observer observer)
            throws ErrnoException {
        Consumer<Diagnosis> action = silenceAction;
        if (action == null) {
            return null;
        }
        return new SilenceWatch(
                System::nanoTime,
                machine.timer("silence"),
                silenceLimit,
                () -> !machine.outcome().isDone() && board.isSilent(),
                // not on the event loop: it waits for vCPUs, and reads files
                () ->
                        Thread.ofPlatform()
                                .name("diagnosis")
                                .daemon()
                                .start(() -> tell(action, observer)));
    }

    private static void tell(Consumer<Diagnosis> action, Observer observer) {
        try {
            action.accept(observer.look());
        } catch (IOException e) {
            LOG.log(Level.WARNING, "the silent guest cannot be looked at: {0}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static Vcpu.Task<Boolean> entry(BootSource source, Machine machine, AcpiTables tables)
            throws IOException {
        List<MemoryMap.Entry> reserved =
                List.of(
                        new MemoryMap.Entry(tables.range(), MemoryMap.Type.RESERVED),
                        new MemoryMap.Entry(AddressMap.PCI_ECAM, MemoryMap.Type.RESERVED));
        EntryState state =
                source.load(
                        new BootContext(
                                machine.memory(),
                                tables.rsdp(),
                                reserved,
                                machine.kernelArguments()));
        return vcpu -> {
            state.writeTo(vcpu);
            return true;
        };
    }

    private static void checkHostMemory(long memoryBytes) throws IOException {
        HostMemory host = HostMemory.read();
        if (memoryBytes > host.total() + host.swap()) {
            throw new HostUnsupportedException(
                    "memory: %d MiB are asked for, and the host has %d MiB with its swap"
                            .formatted(memoryBytes >> 20, (host.total() + host.swap()) >> 20));
        }
    }

    private static void checkCapabilities(Kvm kvm, Topology topology)
            throws HostUnsupportedException {
        for (Capability capability : Capability.values()) {
            if (capability.need() == Capability.Need.REQUIRED && kvm.check(capability) == 0) {
                throw new HostUnsupportedException(
                        "this kernel's KVM has no %s: %s"
                                .formatted(capability, capability.withoutIt()));
            }
        }
        int limit = Math.max(1, kvm.check(Capability.MAX_VCPUS));
        if (topology.vcpus() > limit) {
            throw new HostUnsupportedException(
                    "cpus: %d are asked for, and this kernel's KVM has %d at most"
                            .formatted(topology.vcpus(), limit));
        }
    }

    private Machine open(Kvm kvm, Plan plan, int addressBits) throws IOException {
        GuestMemory memory = plan.memory.open(plan.ram);
        KvmVm vm;
        try {
            vm = kvm.createVm();
        } catch (ErrnoException e) {
            memory.close();
            throw e;
        }
        Trace trace = traceKinds.isEmpty() ? Trace.OFF : Trace.start(traceKinds, traceOutput);
        return new Machine(vm, memory, AddressMap.pciMemory(memory.ranges(), addressBits), trace);
    }

    private Mainboard attachDevices(Machine machine) throws IOException {
        machine.setUp();
        SerialConsole console =
                inputFilter == null
                        ? new SerialConsole("serial0", serialOutput)
                        : new SerialConsole("serial0", serialOutput, inputFilter);
        machine.onClose(console::close);
        var board = new Mainboard(console);
        for (DeviceFactory factory : builtIn(board)) {
            factory.attach(machine);
        }
        for (DeviceFactory factory : devices) {
            factory.attach(machine);
        }
        attachPanicNotifier(machine);
        if (consoleTransport != null) {
            board.attachVirtioConsole(machine, consoleTransport);
        }
        HaltWatch.start(
                machine::vcpus,
                machine.timer("halt watch"),
                () -> machine.endKept(new VmOutcome.Halted()));
        return board;
    }

    /// The guest may have something left to print, and may restart by itself: so it has a while.
    private void attachPanicNotifier(Machine machine) throws ErrnoException {
        if (endsOnPanic) {
            DeviceTimer timer = machine.timer("panic");
            Mainboard.attachPanicNotifier(
                    machine,
                    () ->
                            timer.set(
                                    PANIC_GRACE.toNanos(),
                                    () -> machine.endKept(new VmOutcome.Panicked())));
        }
    }

    /// The mainboard: a line each.
    private static List<DeviceFactory> builtIn(Mainboard board) {
        return List.of(
                board::attachSerialPort,
                board::attachKeyboard,
                board::attachClock,
                board::attachPowerManagement,
                board::attachPci,
                board::attachSystemControl,
                board::attachPostCodes,
                board::attachGeneration,
                board::attachDebugExit);
    }

    private void createVcpus(Kvm kvm, Machine machine) throws IOException, InterruptedException {
        List<CpuidEntry> supported =
                CpuidModel.withBrand(kvm.supportedCpuid(), HostProcessor.brand());
        boolean tscDeadline = kvm.check(Capability.TSC_DEADLINE_TIMER) > 0;
        boolean knowsTsc = kvm.check(Capability.GET_TSC_KHZ) > 0;
        for (int i = 0; i < topology.vcpus(); i++) {
            int index = i;
            machine.addVcpu(index, topology.apicId(index))
                    .call(vcpu -> {
                        long tscKilohertz = knowsTsc ? vcpu.tscKilohertz() : 0;
                        var model = new CpuidModel(supported, topology, tscDeadline, tscKilohertz);
                        vcpu.setCpuid(model.forVcpu(index));
                        return index;
                    });
        }
    }
}
