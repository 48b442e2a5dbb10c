/// The ACPI tables of a machine, which say to its operating system what hardware there is (ACPI
/// 6.5).
///
/// {@link org.kaval.machine.acpi.AcpiTables} makes them and puts them into guest memory; each table
/// has a class. The devices are described in AML, which {@link org.kaval.machine.acpi.Aml} builds:
///
/// ```java
/// Aml.device("COM1",
///         Aml.name("_HID", Aml.eisaId("PNP0501")),
///         Aml.name("_CRS", Resource.template(Resource.io(0x3f8, 8), Resource.irq(4))))
/// ```
///
/// Everything here is immutable. Nothing is null unless a type says {@link
/// org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine.acpi;

import org.jspecify.annotations.NullMarked;
