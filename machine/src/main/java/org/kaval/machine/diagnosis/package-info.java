/// What can be said of a guest that is silent, or has died: what it is seen to do ({@link
/// org.kaval.machine.diagnosis.Observation}), and what is commonly missing where it looks so
/// ({@link org.kaval.machine.diagnosis.Hints}).
///
/// Nothing here costs a running guest anything: the counters that are read are there anyway, and a
/// vCPU is asked for its registers when somebody wants to know.
@NullMarked
package org.kaval.machine.diagnosis;

import org.jspecify.annotations.NullMarked;
