/// Events of the JDK's flight recorder (JFR).
///
/// | event             | when                       | what                                   |
/// |-------------------|----------------------------|----------------------------------------|
/// | `kaval.Exits`     | every second (its period)  | how often a vCPU left its guest for a reason, since the last time |
/// | `kaval.Interrupts`| every second (its period)  | how often devices pulled a line, since the last time |
/// | `kaval.Lifecycle` | at start, pause, resume, end | which, and how it ended              |
///
/// The counters are kept anyway and read by the recorder's own thread, so that a vCPU does nothing
/// for it. As long as nobody records, none of these classes is loaded but one that waits for it.
@NullMarked
package org.kaval.machine.flight;

import org.jspecify.annotations.NullMarked;
