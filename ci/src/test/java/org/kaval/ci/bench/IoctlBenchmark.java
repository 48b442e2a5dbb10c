package org.kaval.ci.bench;

import com.sun.jna.Native;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.kaval.kvm.Capability;
import org.kaval.kvm.Kvm;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// What does the same ioctl (`KVM_CHECK_EXTENSION`) cost through this project's bindings, and
/// through JNA with direct mapping?
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
        value = 2,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "-Xmx256m"})
public class IoctlBenchmark {
    private static final long KVM_CHECK_EXTENSION = 0xae03;
    private static final int READ_WRITE = 2;

    private Kvm kvm;
    private int descriptor;

    static {
        Native.register("c");
    }

    private static native int open(String path, int flags);

    private static native int close(int fd);

    private static native int ioctl(int fd, long request, long argument);

    @Setup
    public void open() throws IOException {
        kvm = Kvm.open();
        descriptor = open("/dev/kvm", READ_WRITE);
    }

    @TearDown
    public void close() {
        kvm.close();
        close(descriptor);
    }

    @Benchmark
    public int panama() {
        return kvm.check(Capability.IRQCHIP);
    }

    @Benchmark
    public int jna() {
        return ioctl(descriptor, KVM_CHECK_EXTENSION, Capability.IRQCHIP.number());
    }
}
