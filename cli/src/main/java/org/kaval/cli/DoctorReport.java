package org.kaval.cli;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmKind;
import picocli.CommandLine.Help.Ansi;

/// What `kaval doctor` found, and its two forms: a table for people, JSON for programs.
///
/// @param nested whether this host is itself a virtual machine; null if that is unknown
/// @param checks in the order in which they are shown; the names are unique
/// @param capabilities what each is worth on this host; empty if KVM could not be asked
record DoctorReport(
        KvmKind kind,
        @Nullable Boolean nested,
        List<Check> checks,
        Map<Capability, Integer> capabilities) {
    private static final int CAPABILITY_COLUMNS = 3;

    DoctorReport {
        checks = List.copyOf(checks);
        var inOrder = new EnumMap<Capability, Integer>(Capability.class);
        inOrder.putAll(capabilities);
        capabilities = Collections.unmodifiableMap(inOrder);
    }

    /// How a check came out, from good to bad.
    enum Status {
        OK("ok", "green"),
        /// Worth knowing, and no loss.
        INFO("info", "cyan"),
        /// One thing is lost.
        WARN("warn", "yellow"),
        /// No guest can run.
        FAIL("FAIL", "bold,red");

        private final String mark;
        private final String style;

        Status(String mark, String style) {
            this.mark = mark;
            this.style = style;
        }

        /// As it stands in JSON.
        String word() {
            return mark.toLowerCase(Locale.ROOT);
        }

        private String mark(Ansi ansi) {
            return ansi.string("@|%s %s|@".formatted(style, mark)) + " ".repeat(4 - mark.length());
        }
    }

    /// One line of the report.
    ///
    /// @param detail one line
    /// @param remedy what mends or changes it: lines for a shell, comments included; null if there
    ///   is nothing
    record Check(String name, Status status, String detail, @Nullable String remedy) {
        static Check ok(String name, String detail) {
            return new Check(name, Status.OK, detail, null);
        }

        static Check info(String name, String detail) {
            return new Check(name, Status.INFO, detail, null);
        }

        static Check unknown(String name) {
            return info(name, "unknown");
        }
    }

    /// The worst of the checks; what is only worth knowing counts as good.
    Status status() {
        return checks.stream()
                .map(Check::status)
                .filter(status -> status != Status.INFO)
                .max(Status::compareTo)
                .orElse(Status.OK);
    }

    int exitStatus() {
        return status() == Status.FAIL ? ExitStatus.HOST : ExitStatus.OK;
    }

    /// The name of `kind` as people know it.
    static String name(KvmKind kind) {
        return switch (kind) {
            case VT_X -> "VT-x";
            case AMD_V -> "AMD-V";
            case PVM -> "PVM";
            case UNKNOWN -> "unknown";
        };
    }

    /// One JSON object: `status`, `kind`, `nested` (null if unknown), `checks`, `capabilities`.
    String json() throws IOException {
        var object = new LinkedHashMap<String, @Nullable Object>();
        object.put("status", status().word());
        object.put("kind", name(kind));
        object.put("nested", nested);
        object.put("checks", checks.stream().map(DoctorReport::fields).toList());
        var values = new LinkedHashMap<String, Object>();
        capabilities.forEach((capability, value) -> values.put(capability.name(), value));
        object.put("capabilities", values);
        return JSON.std
                .with(JSON.Feature.PRETTY_PRINT_OUTPUT, JSON.Feature.WRITE_NULL_PROPERTIES)
                .asString(object);
    }

    private static Map<String, Object> fields(Check check) {
        var fields = new LinkedHashMap<String, Object>();
        fields.put("name", check.name());
        fields.put("status", check.status().word());
        fields.put("detail", check.detail());
        if (check.remedy() != null) {
            fields.put("remedy", check.remedy());
        }
        return fields;
    }

    /// The table, its values of capabilities, and a last line with the result.
    ///
    /// @param ansi whether in colour
    String table(Ansi ansi) {
        int width = checks.stream().mapToInt(check -> check.name().length()).max().orElse(0);
        var lines = new ArrayList<String>();
        for (Check check : checks) {
            lines.add(
                    "%s  %s  %s"
                            .formatted(
                                    check.status().mark(ansi),
                                    pad(check.name(), width),
                                    check.detail()));
            if (check.remedy() != null) {
                String indent = " ".repeat(4 + 2 + width + 2);
                String label = check.status() == Status.INFO ? "try: " : "fix: ";
                lines.add(indent + label + check.remedy().replace("\n", "\n     " + indent));
            }
        }
        if (!capabilities.isEmpty()) {
            lines.add("");
            lines.add("what the capabilities are worth:");
            lines.addAll(capabilityLines());
        }
        lines.add("");
        lines.add(summary());
        return String.join("\n", lines);
    }

    private List<String> capabilityLines() {
        List<String> cells =
                capabilities.entrySet().stream()
                        .map(entry -> pad(entry.getKey().name(), 21) + "  " + entry.getValue())
                        .toList();
        int width = cells.stream().mapToInt(String::length).max().orElse(0);
        int rows = Math.ceilDiv(cells.size(), CAPABILITY_COLUMNS);
        var lines = new ArrayList<String>();
        for (int row = 0; row < rows; row++) {
            var line = new StringBuilder();
            for (int cell = row; cell < cells.size(); cell += rows) {
                line.append("  ").append(pad(cells.get(cell), width));
            }
            lines.add(line.toString().stripTrailing());
        }
        return lines;
    }

    private String summary() {
        return switch (status()) {
            case OK, INFO -> "this host runs guests";
            case WARN -> "this host runs guests; warnings: " + count(Status.WARN);
            case FAIL -> "this host cannot run guests; failures: " + count(Status.FAIL);
        };
    }

    private long count(Status status) {
        return checks.stream().filter(check -> check.status() == status).count();
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(Math.max(0, width - text.length()));
    }
}
