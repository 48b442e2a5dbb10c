package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.UnionLayout;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmVm;
import org.kaval.kvm.abi.KvmAbi;
import org.kaval.linux.abi.LinuxAbi;

/// Every number that this module shares with the kernel, against what the C compiler makes of the
/// system's headers: the generated constants and layouts, and the numbers written by hand.
///
/// An expectation is a C expression with the value that Java has for it. Which expressions there
/// are comes from the generated classes by reflection and from nowhere else, so nothing that is
/// generated goes unchecked.
class AbiLayoutTest {
    private static final Path GENERATED = Path.of("src/generated/java/org/kaval");
    private static final Path ARGUMENTS = Path.of("jextract");

    /// What is in Linux 6.12 and not in Linux 6.1, the oldest headers that Kaval is built with
    /// (Debian 12). Anything else that the compiler does not know is an error.
    private static final Pattern NEWER_THAN_LINUX_6_1 =
            Pattern.compile(
                    "KVM_EXIT_MEMORY_FAULT"
                            + "|.*struct kvm_run.*\\b(hypercall\\.flags|iocsr_io|memory_fault)\\b.*");

    /// How many expressions that is.
    private static final int ABSENT_FROM_LINUX_6_1 = 22;

    private static CompilerOracle.Answers compiler = new CompilerOracle.Answers(Map.of(), Set.of());

    @BeforeAll
    static void askTheCompiler(@TempDir Path directory) throws Exception {
        var expressions = new TreeSet<String>();
        for (String name : structs()) {
            expressions.addAll(layoutOf(name).keySet());
        }
        expressions.addAll(generatedConstants().keySet());
        expressions.addAll(systemCalls().keySet());
        expressions.addAll(errorNumbers().keySet());
        expressions.addAll(errorNames().keySet());
        expressions.addAll(exitReasons().keySet());
        expressions.addAll(capabilities().keySet());
        expressions.addAll(handWrittenNumbers().keySet());
        compiler = CompilerOracle.ask(directory, expressions);
    }

    @ParameterizedTest
    @MethodSource("structs")
    void structIsLaidOutAsTheCompilerDoes(String name) throws Exception {
        assertEquals(List.of(), differences(layoutOf(name)));
    }

    @Test
    void generatedConstantsAreTheHeaders() throws Exception {
        assertEquals(List.of(), differences(generatedConstants()));
    }

    @Test
    void systemCallNumbersAreTheHeaders() throws Exception {
        assertEquals(List.of(), differences(systemCalls()));
    }

    @Test
    void errorNumbersAreTheHeaders() throws Exception {
        assertEquals(List.of(), differences(errorNumbers()));
    }

    @Test
    void errorNamesAreTheLibrarys() {
        assertEquals(List.of(), differences(errorNames()));
    }

    @Test
    void exitReasonsAreTheHeaders() throws Exception {
        assertEquals(List.of(), differences(exitReasons()));
    }

    @Test
    void capabilitiesAreTheHeaders() {
        assertEquals(List.of(), differences(capabilities()));
    }

    @Test
    void numbersWrittenByHandAreTheSystems() throws Exception {
        assertEquals(List.of(), differences(handWrittenNumbers()));
    }

    @Test
    void onlyWhatIsNewerThanLinux61IsAbsentFromTheHeaders() {
        var unexpected = new TreeSet<>(compiler.absent());
        unexpected.removeIf(NEWER_THAN_LINUX_6_1.asMatchPredicate());
        assertEquals(Set.of(), unexpected);
        assertTrue(compiler.absent().size() <= ABSENT_FROM_LINUX_6_1);
    }

    @Test
    void generatedConstantsAreThoseInTheArgumentFiles() throws Exception {
        assertEquals(namesIn("--include-constant"), new TreeSet<>(generatedConstants().keySet()));
    }

    @Test
    void generatedStructsAreThoseInTheArgumentFiles() throws Exception {
        Set<String> expected = namesIn("--include-struct");
        expected.addAll(namesIn("--include-union"));
        assertEquals(expected, new TreeSet<>(structs()));
    }

    // --- what is expected, by C expression ---

    /// The tags of all generated structures and unions: the files that are not a header's class.
    static List<String> structs() throws IOException {
        try (Stream<Path> kvm = Files.list(GENERATED.resolve("kvm/abi"));
                Stream<Path> linux = Files.list(GENERATED.resolve("linux/abi"))) {
            return Stream.concat(kvm, linux)
                    .map(file -> file.getFileName().toString().replace(".java", ""))
                    .filter(name -> !name.startsWith("KvmAbi") && !name.startsWith("LinuxAbi"))
                    .sorted()
                    .toList();
        }
    }

    private static Map<String, Long> layoutOf(String name) throws Exception {
        boolean isKvm = Files.exists(GENERATED.resolve("kvm/abi/" + name + ".java"));
        var layout =
                (GroupLayout)
                        Class.forName(
                                        "org.kaval.%s.abi.%s"
                                                .formatted(isKvm ? "kvm" : "linux", name))
                                .getMethod("layout")
                                .invoke(null);
        String type = (layout instanceof UnionLayout ? "union " : "struct ") + name;
        var expected = new TreeMap<String, Long>();
        expected.put("sizeof(%s)".formatted(type), layout.byteSize());
        expected.put("_Alignof(%s)".formatted(type), layout.byteAlignment());
        addMembers(expected, type, "", 0, layout);
        return expected;
    }

    private static void addMembers(
            Map<String, Long> into, String type, String prefix, long base, GroupLayout group) {
        long offset = base;
        for (MemoryLayout member : group.memberLayouts()) {
            if (!(member instanceof PaddingLayout)) {
                addMember(into, type, prefix, offset, member);
            }
            offset += group instanceof StructLayout ? member.byteSize() : 0;
        }
    }

    private static void addMember(
            Map<String, Long> into, String type, String prefix, long offset, MemoryLayout member) {
        String name = member.name().orElseThrow();
        if (name.startsWith("$anon$")) { // C's path to what is inside does not name it
            addMembers(into, type, prefix, offset, (GroupLayout) member);
            return;
        }
        String path = prefix + name;
        into.put("offsetof(%s, %s)".formatted(type, path), offset);
        if (member.byteSize() > 0) { // an array without a length has no size in C
            into.put("sizeof(((%s *) 0)->%s)".formatted(type, path), member.byteSize());
        }
        if (member instanceof GroupLayout inner) {
            addMembers(into, type, path + ".", offset, inner);
        }
        if (member instanceof SequenceLayout array && array.elementCount() > 0) {
            into.put(
                    "sizeof(((%s *) 0)->%s[0])".formatted(type, path),
                    array.elementLayout().byteSize());
            if (array.elementLayout() instanceof GroupLayout element) {
                addMembers(into, type, path + "[0].", offset, element);
            }
        }
    }

    private static Map<String, Long> generatedConstants() throws Exception {
        var expected = new TreeMap<String, Long>();
        for (Class<?> header : List.of(KvmAbi.class, LinuxAbi.class)) {
            for (var method : header.getDeclaredMethods()) {
                if (method.getParameterCount() == 0) {
                    expected.put(method.getName(), ((Number) method.invoke(null)).longValue());
                }
            }
        }
        return expected;
    }

    private static Map<String, Long> systemCalls() throws IllegalAccessException {
        return intConstants(Syscall.class).entrySet().stream()
                .collect(
                        Collectors.toMap(
                                call -> "SYS_" + call.getKey().toLowerCase(Locale.ROOT),
                                Map.Entry::getValue));
    }

    private static Map<String, Long> errorNumbers() throws IllegalAccessException {
        return intConstants(Errno.class);
    }

    /// Where glibc has no name, `Errno` says the number; 134 is the first after the last.
    private static Map<String, Long> errorNames() {
        return IntStream.rangeClosed(1, 134)
                .mapToObj(errno ->
                        "strcmp(strerrorname_np(%d) ?: \"%d\", \"%s\")"
                                .formatted(errno, errno, Errno.name(errno)))
                .collect(Collectors.toMap(comparison -> comparison, _ -> 0L));
    }

    private static Map<String, Long> exitReasons() throws IllegalAccessException {
        Map<String, Long> constants = intConstants(KvmExit.class);
        constants.remove("LIMIT"); // ours
        return constants.entrySet().stream()
                .collect(
                        Collectors.toMap(
                                constant -> kernelNameOfExit(constant.getKey()),
                                Map.Entry::getValue));
    }

    private static String kernelNameOfExit(String name) {
        boolean isDetail = name.startsWith("INTERNAL_ERROR_") || name.startsWith("SYSTEM_EVENT_");
        return (isDetail ? "KVM_" : "KVM_EXIT_") + name;
    }

    private static Map<String, Long> capabilities() {
        return Arrays.stream(Capability.values())
                .collect(
                        Collectors.toMap(
                                capability -> "KVM_CAP_" + capability.name(),
                                capability -> (long) capability.number()));
    }

    private static Map<String, Long> handWrittenNumbers() throws IllegalAccessException {
        var expected = new TreeMap<String, Long>(intConstants(FileStatus.class));
        expected.remove("BLOCK"); // POSIX has no name for it
        expected.put("BLKGETSIZE64", FileStatus.BLKGETSIZE64);
        expected.put("sizeof(struct flock)", FileLock.SIZE);
        expected.put("offsetof(struct flock, l_type)", FileLock.TYPE);
        expected.put("offsetof(struct flock, l_start)", FileLock.START);
        expected.put("offsetof(struct flock, l_len)", FileLock.LENGTH);
        expected.put("SEEK_SET", 0L);
        expected.put("UIO_MAXIOV", (long) IoVector.MAX_COUNT);
        expected.put("AT_FDCWD", intConstants(Fd.class).getOrDefault("AT_FDCWD", 0L));
        expected.put("TCGETS", intConstants(Terminal.class).getOrDefault("TCGETS", 0L));
        expected.put("TCSETS", intConstants(Terminal.class).getOrDefault("TCSETS", 0L));
        expected.put("SIGRTMIN + 2", intConstants(Kick.class).getOrDefault("SIGNAL", 0L));
        expected.put("sysconf(_SC_PAGESIZE)", Mmap.PAGE_SIZE);
        expected.put(
                "offsetof(struct kvm_irq_routing, entries)",
                intConstants(KvmVm.class).getOrDefault("ROUTING_HEADER", 0L));
        expected.put("RWF_NOWAIT", intConstants(Fd.class).getOrDefault("RWF_NOWAIT", 0L));
        expected.put("(int) EPOLLET", intConstants(WakeUp.class).getOrDefault("EPOLLET", 0L));
        expected.put("EPOLLRDHUP", (long) Epoll.END_OF_INPUT);
        expected.putAll(socketNumbers());
        expected.putAll(tapNumbers());
        expected.putAll(ringNumbers());
        expected.putAll(vhostNumbers());
        return expected;
    }

    private static Map<String, Long> socketNumbers() {
        return Map.ofEntries(
                Map.entry("AF_UNIX", (long) UnixSocket.AF_UNIX),
                Map.entry("SOCK_STREAM", (long) UnixSocket.SOCK_STREAM),
                Map.entry("SOCK_NONBLOCK", (long) UnixSocket.SOCK_NONBLOCK),
                Map.entry("SOCK_CLOEXEC", (long) UnixSocket.SOCK_CLOEXEC),
                Map.entry("SHUT_RD", (long) UnixSocket.SHUT_RD),
                Map.entry("SHUT_WR", (long) UnixSocket.SHUT_WR),
                Map.entry("SOMAXCONN", (long) UnixSocket.SOMAXCONN),
                Map.entry("SIOCINQ", (long) UnixSocket.SIOCINQ),
                Map.entry("sizeof(struct sockaddr_un)", (long) UnixSocket.SIZE),
                Map.entry("offsetof(struct sockaddr_un, sun_path)", (long) UnixSocket.PATH),
                Map.entry(
                        "sizeof(((struct sockaddr_un *) 0)->sun_path) - 1",
                        (long) UnixSocket.MAX_PATH));
    }

    private static Map<String, Long> tapNumbers() throws IllegalAccessException {
        Map<String, Long> expected = intConstants(Tap.class);
        expected.remove("MAX_QUEUES"); // of the kernel's source, and of no header
        rename(expected, "MAX_NAME", "IFNAMSIZ - 1");
        rename(expected, "IFREQ", "sizeof(struct ifreq)");
        rename(expected, "VALUE", "offsetof(struct ifreq, ifr_ifru)");
        return expected;
    }

    private static void rename(Map<String, Long> numbers, String from, String to) {
        numbers.put(to, numbers.remove(from));
    }

    private static Map<String, Long> ringNumbers() throws IllegalAccessException {
        var expected = new TreeMap<>(intConstants(IoUring.class));
        expected.keySet().removeIf(name -> !name.startsWith("IORING_"));
        String params = "offsetof(struct io_uring_params, %s)";
        String operation = "offsetof(struct io_uring_sqe, %s)";
        String completion = "offsetof(struct io_uring_cqe, %s)";
        expected.put("sizeof(struct io_uring_params)", (long) IoUring.PARAMS);
        expected.put(params.formatted("sq_entries"), (long) IoUring.SQ_ENTRIES);
        expected.put(params.formatted("cq_entries"), (long) IoUring.CQ_ENTRIES);
        expected.put(params.formatted("features"), (long) IoUring.PARAM_FEATURES);
        expected.put(params.formatted("sq_off.tail"), (long) IoUring.SQ_TAIL);
        expected.put(params.formatted("sq_off.ring_mask"), (long) IoUring.SQ_MASK);
        expected.put(params.formatted("sq_off.array"), (long) IoUring.SQ_ARRAY);
        expected.put(params.formatted("cq_off.head"), (long) IoUring.CQ_HEAD);
        expected.put(params.formatted("cq_off.tail"), (long) IoUring.CQ_TAIL);
        expected.put(params.formatted("cq_off.ring_mask"), (long) IoUring.CQ_MASK);
        expected.put(params.formatted("cq_off.cqes"), (long) IoUring.CQ_CQES);
        expected.put("sizeof(struct io_uring_sqe)", (long) IoUring.SQE);
        expected.put(operation.formatted("opcode"), (long) IoUring.SQE_OPCODE);
        expected.put(operation.formatted("fd"), (long) IoUring.SQE_FD);
        expected.put(operation.formatted("off"), (long) IoUring.SQE_OFF);
        expected.put(operation.formatted("addr"), (long) IoUring.SQE_ADDR);
        expected.put(operation.formatted("len"), (long) IoUring.SQE_LEN);
        expected.put(operation.formatted("fsync_flags"), (long) IoUring.SQE_OP_FLAGS);
        expected.put(operation.formatted("user_data"), (long) IoUring.SQE_USER_DATA);
        expected.put("sizeof(struct io_uring_cqe)", (long) IoUring.CQE);
        expected.put(completion.formatted("user_data"), (long) IoUring.CQE_USER_DATA);
        expected.put(completion.formatted("res"), (long) IoUring.CQE_RES);
        return expected;
    }

    /// In C the requests' numbers are unsigned.
    private static Map<String, Long> vhostNumbers() throws IllegalAccessException {
        var expected = new TreeMap<String, Long>();
        intConstants(VhostNet.class).entrySet().stream()
                .filter(constant -> constant.getKey().startsWith("VHOST_"))
                .forEach(constant ->
                        expected.put("(int) " + constant.getKey(), constant.getValue()));
        String addresses = "offsetof(struct vhost_vring_addr, %s)";
        String region = "offsetof(struct vhost_memory_region, %s)";
        expected.put("sizeof(struct vhost_vring_state)", (long) VhostNet.STATE);
        expected.put("offsetof(struct vhost_vring_state, num)", (long) VhostNet.STATE_NUM);
        expected.put("sizeof(struct vhost_vring_file)", (long) VhostNet.FILE);
        expected.put("offsetof(struct vhost_vring_file, fd)", (long) VhostNet.FILE_FD);
        expected.put("sizeof(struct vhost_vring_addr)", (long) VhostNet.ADDR);
        expected.put(addresses.formatted("desc_user_addr"), (long) VhostNet.ADDR_DESC);
        expected.put(addresses.formatted("used_user_addr"), (long) VhostNet.ADDR_USED);
        expected.put(addresses.formatted("avail_user_addr"), (long) VhostNet.ADDR_AVAIL);
        expected.put("sizeof(struct vhost_memory)", (long) VhostNet.MEMORY);
        expected.put("sizeof(struct vhost_memory_region)", (long) VhostNet.REGION);
        expected.put(region.formatted("memory_size"), (long) VhostNet.REGION_SIZE);
        expected.put(region.formatted("userspace_addr"), (long) VhostNet.REGION_USER);
        return expected;
    }

    /// The static final `int`s of `type` by name, private ones included, in upper case as C's are.
    private static Map<String, Long> intConstants(Class<?> type) throws IllegalAccessException {
        var constants = new TreeMap<String, Long>();
        for (Field field : type.getDeclaredFields()) {
            int modifiers = field.getModifiers();
            if (field.getType() == int.class
                    && Modifier.isStatic(modifiers)
                    && Modifier.isFinal(modifiers)) {
                field.setAccessible(true);
                constants.put(field.getName(), (long) field.getInt(null));
            }
        }
        assertTrue(!constants.isEmpty(), () -> "no constants in " + type);
        return constants;
    }

    private static Set<String> namesIn(String option) throws IOException {
        try (Stream<String> kvm = Files.lines(ARGUMENTS.resolve("kvm.args"));
                Stream<String> linux = Files.lines(ARGUMENTS.resolve("linux.args"))) {
            return Stream.concat(kvm, linux)
                    .filter(line -> line.startsWith(option + " "))
                    .map(line -> line.substring(option.length()).strip())
                    .collect(Collectors.toCollection(TreeSet::new));
        }
    }

    /// What the compiler says otherwise, absent names left out: these have their own test.
    private static List<String> differences(Map<String, Long> expected) {
        assertTrue(!expected.isEmpty(), "nothing to compare");
        return expected.entrySet().stream()
                .filter(entry -> !compiler.absent().contains(entry.getKey()))
                .filter(entry -> !entry.getValue().equals(compiler.values().get(entry.getKey())))
                .map(entry ->
                        "%s is %d in Java and %d in C"
                                .formatted(
                                        entry.getKey(),
                                        entry.getValue(),
                                        compiler.values().get(entry.getKey())))
                .toList();
    }
}
