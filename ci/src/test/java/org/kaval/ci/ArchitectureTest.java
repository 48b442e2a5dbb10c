package org.kaval.ci;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.kaval.linux.Fd;

/// Holds the arrows between the modules, and what only one of them may do.
class ArchitectureTest {
    private static final String[] BINDINGS = {"org.kaval.kvm..", "org.kaval.linux.."};

    private static final JavaClasses CLASSES =
            new ClassFileImporter()
                    .withImportOption(new ImportOption.DoNotIncludeTests())
                    .importPackages("org.kaval");

    @Test
    void allModulesAreSeen() {
        Set<String> expected =
                Set.of(
                        "org.kaval.guests.Initramfs",
                        "org.kaval.nested.NestedHost",
                        "org.kaval.testing.NeedsKvm",
                        "org.kaval.kvm.KvmVm",
                        "org.kaval.memory.GuestMemory",
                        "org.kaval.vcpu.Vcpu",
                        "org.kaval.devices.Bus",
                        "org.kaval.machine.Vm",
                        "org.kaval.cli.Kaval");
        assertTrue(expected.stream().allMatch(CLASSES::contain));
    }

    @Test
    void modulesDependOnlyAlongTheArrows() {
        layeredArchitecture()
                .consideringOnlyDependenciesInLayers()
                .layer("nested host")
                .definedBy("org.kaval.nested..", "org.kaval.guests..")
                .layer("testing")
                .definedBy("org.kaval.testing..")
                .layer("bindings")
                .definedBy(BINDINGS)
                .layer("memory")
                .definedBy("org.kaval.memory..")
                .layer("vcpu")
                .definedBy("org.kaval.vcpu..")
                .layer("devices")
                .definedBy("org.kaval.devices..")
                .layer("machine")
                .definedBy("org.kaval.machine..")
                .layer("cli")
                .definedBy("org.kaval.cli..")
                .optionalLayer("ci") // it has tests only
                .definedBy("org.kaval.ci..")
                .whereLayer("memory")
                .mayOnlyBeAccessedByLayers("devices", "machine", "cli", "ci")
                .whereLayer("vcpu")
                .mayOnlyBeAccessedByLayers("machine", "cli", "ci")
                .whereLayer("devices")
                .mayOnlyBeAccessedByLayers("machine", "cli", "ci")
                .whereLayer("machine")
                .mayOnlyBeAccessedByLayers("cli", "ci")
                .whereLayer("cli")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("ci")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("bindings")
                .mayNotAccessAnyLayer()
                .whereLayer("nested host")
                .mayNotAccessAnyLayer()
                .whereLayer("nested host")
                .mayOnlyBeAccessedByLayers("testing", "cli", "ci")
                .whereLayer("testing")
                .mayOnlyBeAccessedByLayers("ci")
                .check(CLASSES);
    }

    @Test
    void packagesHaveNoCycles() {
        slices().matching("org.kaval.(**)").should().beFreeOfCycles().check(CLASSES);
    }

    @Test
    void onlyTheBindingsCallNativeCode() {
        noClasses()
                .that(describe("are no bindings", c -> !resideInAnyPackage(BINDINGS).test(c)))
                .should()
                .dependOnClassesThat()
                .belongToAnyOf(Linker.class, SymbolLookup.class)
                .check(CLASSES);
    }

    @Test
    void onlyTheBindingsSeeAddressesAndDescriptorNumbers() {
        Set<String> segment = Set.of("address", "ofAddress", "reinterpret");
        Set<String> descriptor = Set.of("number", "ioctl", "ioctlFd", "tryIoctl");
        noClasses()
                .that(describe("are no bindings", c -> !resideInAnyPackage(BINDINGS).test(c)))
                .should()
                .accessTargetWhere(
                        describe(
                                "shows an address or a descriptor's number",
                                access ->
                                        isCallOf(access, MemorySegment.class, segment)
                                                || isCallOf(access, Fd.class, descriptor)))
                .check(CLASSES);
    }

    @Test
    void onlyTheCommandLineAndTheProgramsInTheNestedHostUseTheStandardStreams() {
        noClasses()
                .that()
                .resideOutsideOfPackages(
                        "org.kaval.cli..",
                        "org.kaval.nested.guest..",
                        "org.kaval.testing..",
                        "org.kaval.kvm.abi..",
                        "org.kaval.linux.abi..")
                .should()
                .accessTargetWhere(
                        describe(
                                "is a standard stream",
                                access ->
                                        isCallOf(access, System.class, Set.of("out", "err", "in"))))
                .check(CLASSES);
    }

    private static boolean isCallOf(JavaAccess<?> access, Class<?> owner, Set<String> names) {
        return access.getTargetOwner().isEquivalentTo(owner)
                && names.contains(access.getTarget().getName());
    }
}
