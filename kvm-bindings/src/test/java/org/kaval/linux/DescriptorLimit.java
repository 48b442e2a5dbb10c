package org.kaval.linux;

import java.util.ArrayList;

/// Opens event descriptors until the kernel has no more for this process, says how it was refused,
/// closes them, and says whether things work again. Run by {@link DescriptorLimitTest} in a JVM
/// with a low limit.
final class DescriptorLimit {
    private DescriptorLimit() {}

    public static void main(String[] arguments) throws Exception {
        // loading a class takes a descriptor; the program that is shipped has them in its image
        var preloaded = new ErrnoException("preloaded", "class", 0);
        var events = new ArrayList<EventFd>();
        String refused = preloaded.getMessage();
        try {
            while (true) {
                events.add(EventFd.create("event"));
            }
        } catch (ErrnoException e) {
            refused = e.getMessage();
        }
        events.forEach(EventFd::close);
        System.out.println(refused);
        try (EventFd event = EventFd.create("event")) {
            event.signal();
            System.out.println("works again: " + event.drain());
        }
    }
}
